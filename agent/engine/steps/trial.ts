/** Puts a new commit on trial: if its run is cut off, the next run goes on with the same commit. */
import type { Checkout, ResourceId } from '../../core/types.ts';
import type { Run } from '../types.ts';

/**
 * Records that the commit is begun; its snapshot is durable already. The record is durable before anything is done: the
 * intents see to it, and `Store.beforeActing` where none is written. Throws AgentError `StateUnwritable`.
 * @param endpoints those that can be reached now: after a restart it is too late to ask
 * @param unwell what is unwell now, before anything was changed
 */
export function beginTrial(
  { store }: Run,
  checkout: Checkout,
  endpoints: readonly string[],
  unwell: readonly ResourceId[],
): void {
  if (unwell.length + (store.facts.get('unwellBefore')?.length ?? 0) > 0) store.facts.set({ unwellBefore: unwell });
  if (store.facts.get('trialJobs')?.length) store.facts.set({ trialJobs: [] });
  store.commits.beginTrial(checkout.info.commit, endpoints);
}
