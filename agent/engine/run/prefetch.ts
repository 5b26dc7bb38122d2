/**
 * Observes the host while the server is asked for its head. Mostly the head is the commit that the host already runs, and
 * nothing changes meanwhile, so both waits overlap.
 */
import { type KindTable, traitsOf } from '../../core/kind.ts';
import type { ResourceId } from '../../core/types.ts';
import { idsOf, observe } from '../steps/observe.ts';
import type { Observed, Outcome, Prefetched, Run } from '../types.ts';

/** Older observations are not used: a slow server leaves time for changes. */
const FRESH_MS = 1_000;

export const isExpensive = (kinds: KindTable, id: ResourceId): boolean =>
  traitsOf(kinds, id).observing === 'runs something';

/**
 * To be called before anything else may act on the host.
 * @returns null if the observation would hardly be useful: a new commit is likely, or there is much to do
 */
export async function prefetch(
  { store, snapshots, load, kinds, providers, clock, asked, io }: Run,
  previous: { outcome: Outcome } | null,
): Promise<Prefetched | null> {
  const { accepted, trial, pause } = store.commits.get();
  const atRest = previous?.outcome.verdict === 'well' && previous.outcome.commit?.commit === accepted;
  if (accepted === null || trial !== null || pause !== null || !atRest || asked.trigger === 'push') return null;
  const checkout = await snapshots.load(accepted);
  if (checkout === null) return null;
  const known = await load(checkout);
  if (known.host.decommission) return null;
  // Every change to the host is recorded in the inventory first, and then this index is another object.
  const inventory = store.inventory.index();
  const ids = idsOf(known.byId(), inventory).filter((id) => !isExpensive(kinds, id));
  const began = clock.monotonic();
  let seen: Promise<Observed> | null = observe(providers, ids, io.signal, known.byId());
  return {
    take(loaded) {
      const isFit = loaded === known && store.inventory.index() === inventory && clock.monotonic() - began < FRESH_MS;
      const answer = isFit ? seen : null;
      seen = null;
      return answer;
    },
    drop() {
      seen = null;
    },
  };
}
