/** Puts a new commit on trial: if its run is interrupted, the next run continues with the same commit. */
import type { Checkout, ResourceId } from '../../core/types.ts';
import type { Run } from '../types.ts';

/**
 * Records that the commit is begun; its snapshot is durable already. The record becomes durable before any action, with the
 * intents, or by `Store.beforeActing` if none is written. Throws AgentError `StateUnwritable`.
 * @param endpoints the endpoints that can be reached now: after a restart it is too late to probe
 * @param unwell what is unwell now, before any change
 */
export function beginTrial(
  { store }: Run,
  checkout: Checkout,
  endpoints: readonly string[],
  unwell: readonly ResourceId[],
): void {
  if (unwell.length + (store.facts.get('unwellBeforeTrial')?.length ?? 0) > 0)
    store.facts.set({ unwellBeforeTrial: unwell });
  if (store.facts.get('trialJobs')?.length) store.facts.set({ trialJobs: [] });
  store.commits.beginTrial(checkout.info.commit, endpoints);
}
