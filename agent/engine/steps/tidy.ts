/** After a change that proved itself: what only went before is removed from the host, such as old images. */
import { kindOf } from '../../core/id.ts';
import type { Desired, ResourceId } from '../../core/types.ts';
import { asAgentError } from '../../errors.ts';
import type { Run } from '../types.ts';

/** Remembered before anything is done: a crash does not make it forgotten. */
export function willLeave({ providers, store }: Run, ids: readonly ResourceId[]): void {
  if (ids.some((id) => providers.get(kindOf(id))?.tidy)) store.facts.set({ untidy: true });
}

/** Costs one look into the store where nothing was changed. All that may be gone back to is kept. */
export async function tidy(run: Run): Promise<void> {
  const { store, snapshots, providers, log } = run;
  if (store.facts.get('untidy') !== true) return;
  const kept: Desired[] = [];
  // The accepted one last: it is what the next run asks for.
  for (const commit of store.commits.needed().reverse()) {
    const checkout = await snapshots.load(commit);
    const loaded = checkout && (await run.load(checkout));
    // What cannot be read cannot be kept in mind: then all stays.
    if (loaded === null || loaded.issues.some((i) => i.severity === 'error')) return;
    kept.push(...loaded.resources);
  }
  const byKind = Map.groupBy(kept, (want) => kindOf(want.id));
  try {
    for (const [kind, provider] of providers) await provider.tidy?.(byKind.get(kind) ?? [], run.io.signal);
  } catch (thrown) {
    const { code, message } = asAgentError(thrown, { code: 'TidyFailed', phase: 'apply' });
    log.warn({ code }, `what is not needed any more could not be removed, and stays until the next change: ${message}`);
  }
  store.facts.set({ untidy: false });
}
