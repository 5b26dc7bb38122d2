/**
 * `fairlead uninstall`: this host leaves the fleet. Workloads keep running unless they are to be removed, and data always
 * stays.
 */
import { createHash } from 'node:crypto';
import { existsSync, lstatSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { ResourcesDocument } from '../../control/protocol.ts';
import { locatorOf } from '../../core/id.ts';
import { AgentError } from '../../errors.ts';
import { replaceFile } from '../../store/disk/durable-file.ts';
import { type Context, EXIT } from '../context.ts';
import { count } from '../text/words.ts';

export interface UninstallOptions {
  /** Everything that fairlead made or adopted goes, but for volumes. */
  removeManaged?: boolean;
  /** Only notes what was written below tree/; for scripts of packages. */
  note?: boolean;
}

const REMOVE_PACKAGE =
  'To remove fairlead itself: `apt remove fairlead` (`purge`: with its own state), `rpm -e fairlead` or /usr/lib/fairlead/uninstall.sh.';
const REMOVE_CONTAINER =
  'To remove fairlead itself: `systemctl disable --now fairlead-container.service fairlead-container-update.path`, and the files that docs/install.md lists under "To leave".';

export async function uninstall(
  c: Context,
  { removeManaged = false, note = false }: UninstallOptions,
): Promise<number> {
  const { config, state } = c.deps.paths(c.options);
  if (!note && existsSync(path.join(state, 'upgrade/order'))) {
    c.complain(
      'this host cannot be left now: another version of fairlead is on trial (docs/upgrade.md); try again when `systemctl status fairlead-upgrade` knows no such unit',
    );
    return EXIT.bad;
  }
  const resources = await managed(c);
  if (resources !== null) noteWritten(c, resources);
  if (note) return EXIT.ok;
  const service = await c.deps.service(c.options, 'stop');
  const code = removeManaged ? await c.deps.runAgent({ ...c.options, once: true, leaving: true }) : EXIT.ok;
  if (code !== EXIT.ok) {
    c.complain(
      'not everything could be removed; `fairlead history` says what and why. Repair that and run the command again, or `systemctl enable --now fairlead` to stay',
    );
    return EXIT.bad;
  }
  const total = resources?.length ?? null;
  const document = { schema: 1, removed: removeManaged, resources: total, service, left: [config, state] };
  const managedHere = `fairlead managed on this host${total === null ? '' : ` (${count(total, 'resource')})`}`;
  c.print(document, () =>
    [
      removeManaged
        ? `Removed what ${managedHere}; volumes, and what others wrote, stay. What was removed: fairlead history.`
        : `Everything that ${managedHere} runs on as it is, and is no longer managed.`,
      ...(service === 'stopped' ? ['The service is stopped and disabled.'] : []),
      `Left: ${config} and ${state}. ${c.terminal.env.FAIRLEAD_CONTAINER === undefined ? REMOVE_PACKAGE : REMOVE_CONTAINER}`,
    ].join('\n'),
  );
  return EXIT.ok;
}

type Resources = ResourcesDocument['resources'];

/** Null where the daemon is down. */
async function managed(c: Context): Promise<Resources | null> {
  try {
    return (await c.client.get<ResourcesDocument>('resources'))?.resources ?? null;
  } catch (thrown) {
    if (thrown instanceof AgentError && thrown.code === 'DaemonUnreachable') return null;
    throw thrown;
  }
}

const TREE = '/var/lib/fairlead/tree/';

/**
 * Writes tree.sums, in the form of sha256sum(1): the files below tree/ that are as they were declared. A purge of the package
 * removes these and nothing else there, because all else is of containers or of people.
 */
function noteWritten(c: Context, resources: Resources): void {
  const { state } = c.deps.paths(c.options);
  const root = state.slice(0, -path.dirname(TREE).length);
  const lines = resources
    .filter(({ id, sync }) => locatorOf(id).startsWith(TREE) && sync === 'synced' && !/[\n\r\\]/.test(id))
    .flatMap(({ id }) => {
      const file = locatorOf(id);
      const sum = hashOf(`${root}${file}`);
      return sum === null ? [] : [`${sum}  ${file}\n`];
    });
  replaceFile(path.join(state, 'tree.sums'), lines.join(''));
}

function hashOf(file: string): string | null {
  if (!lstatSync(file, { throwIfNoEntry: false })?.isFile()) return null;
  return createHash('sha256').update(readFileSync(file)).digest('hex');
}
