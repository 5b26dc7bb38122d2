/** `fairlead affected BASE HEAD`: the hosts that a change reaches. */
import { affectedHosts } from '../../repo/affected.ts';
import { withTree } from '../../repo/tree.ts';
import { type Context, EXIT } from '../context.ts';
import { table } from '../text/table.ts';

export async function affected(c: Context, base: string, head: string, options: { dir: string }): Promise<number> {
  const { dir } = options;
  const hosts = await withTree(dir, { rev: base }, (before) =>
    withTree(dir, { rev: head }, (after) => affectedHosts(before, after, c.deps.offlineKinds())),
  );
  c.print({ schema: 1, base, head, hosts }, () =>
    hosts.length === 0
      ? 'No host.'
      : table(
          ['HOST', 'CHANGE', 'DIRECTORY'],
          hosts.map((h) => [h.host, h.change, h.path]),
          c,
        ),
  );
  return EXIT.ok;
}
