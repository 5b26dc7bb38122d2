/** Removes files that nobody declares any more: their originals are restored. */
import type { Gone, RemovalReport } from '../../../core/provider.ts';
import type { Reason, ResourceId } from '../../../core/types.ts';
import { type AgentError, asAgentError } from '../../../errors.ts';
import type { Files } from '../../../system/files/types.ts';
import type { FileFact } from '../diff.ts';
import { isGeneratorInput } from '../generators.ts';
import { pathOf } from '../spec.ts';
import { occupied, stopped } from './errors.ts';
import type { Originals } from './originals.ts';
import type { Reloads } from './reloads.ts';

export interface RemovalOptions {
  files: Files;
  originals: Originals;
  reloads?: Reloads | undefined;
}

/** Maximum number of names that are reported for a directory that stays. */
const TOLD = 5;

export function createRemoval({ files, originals, reloads }: RemovalOptions) {
  return async function remove(
    gone: readonly Gone<FileFact>[],
    signal: AbortSignal,
    report?: RemovalReport,
  ): Promise<Map<ResourceId, AgentError>> {
    const failures = new Map<ResourceId, AgentError>();
    const fail = (id: ResourceId, thrown: unknown) =>
      failures.set(id, asAgentError(thrown, { code: 'RemoveFailed', phase: 'apply', resource: id }));
    const wasThere = originals.known();
    let ours: ResourceId[] = [];
    const removeOurs = async () => {
      // A directory that contains something foreign stays, with its content.
      const outcome = await files.removeAll(ours.map(pathOf));
      for (const id of ours) {
        const answer = outcome.get(pathOf(id));
        if (answer instanceof Error) fail(id, answer);
        if (answer === false) report?.(id, stays(pathOf(id)), 'stays');
      }
      ours = [];
    };
    for (const { id, seen } of gone) {
      // Nothing of ours is at a path that was never applied.
      if (seen.fact.problem !== undefined && seen.mark?.hash === null) continue;
      if (!wasThere(id)) {
        ours.push(id);
        continue;
      }
      // Directories come after their contents in the order of removals.
      await removeOurs();
      try {
        // Each restore takes several syncs.
        if (signal.aborted) throw stopped(id);
        const outcome = await originals.restore(id);
        if (outcome === 'occupied') throw occupied(pathOf(id), 'something else by now');
        // Of a directory that existed before, only mode and owner are restored.
        if (outcome === 'restored' && seen.fact.type === 'directory')
          report?.(
            id,
            { field: 'directory', to: `${pathOf(id)} stays on the host, as it was before fairlead` },
            'stays',
          );
      } catch (thrown) {
        fail(id, thrown);
      }
    }
    await removeOurs();
    if (gone.some(({ id }) => isGeneratorInput(pathOf(id)))) await reloads?.generate();
    return failures;
  };

  /** The note for a directory that is no longer managed, but stays. */
  function stays(directory: string): Reason {
    const inside = files.list(directory, TOLD);
    const more = inside.length === TOLD ? ', …' : '';
    return {
      field: 'directory',
      to: `${directory} stays on the host, with what is not fairlead's in it: ${inside.join(', ')}${more}`,
    };
  }
}
