/** After a change that proved itself: removes what is no longer needed from the host, such as old images. */
import { kindOf } from '../../core/id.ts';
import type { Desired, ResourceId } from '../../core/types.ts';
import { asAgentError } from '../../errors.ts';
import type { Run } from '../types.ts';

/** Recorded before the action, so that a crash does not lose it. */
export function recordRemovals({ providers, store }: Run, ids: readonly ResourceId[]): void {
  if (ids.some((id) => providers.get(kindOf(id))?.tidy)) store.facts.set({ untidy: true });
}

/** Costs one read of the store if nothing was changed. Keeps everything that a rollback may need. */
export async function tidy(run: Run): Promise<void> {
  const { store, snapshots, providers, log } = run;
  if (store.facts.get('untidy') !== true) return;
  const kept: Desired[] = [];
  // The accepted commit is loaded last, because the next run loads it again and the loader caches one commit.
  for (const commit of store.commits.needed().reverse()) {
    const checkout = await snapshots.load(commit);
    const loaded = checkout && (await run.load(checkout));
    // If a commit cannot be read, its needs are unknown, so nothing is removed.
    if (loaded === null || loaded.issues.some((i) => i.severity === 'error')) return;
    kept.push(...loaded.resources);
  }
  const byKind = Map.groupBy(kept, (want) => kindOf(want.id));
  try {
    for (const [kind, provider] of providers) await provider.tidy?.(byKind.get(kind) ?? [], run.io.signal);
  } catch (thrown) {
    const { code, message } = asAgentError(thrown, { code: 'TidyFailed', phase: 'apply' });
    log.warn({ code }, `cannot remove leftovers: ${message}; tried again after the next change`);
  }
  store.facts.set({ untidy: false });
}
