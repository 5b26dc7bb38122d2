/**
 * A look at the host while the server is asked for its head. Mostly the head is the commit that the host runs already, and
 * nobody changes anything meanwhile: then both have been waited for at once.
 */
import { type KindTable, traitsOf } from '../../core/kind.ts';
import type { ResourceId } from '../../core/types.ts';
import { idsOf, observe } from '../steps/observe.ts';
import type { Observed, Prefetched, Run } from '../types.ts';
import type { RunResult } from './reconcile.ts';

/** An answer of a slow server leaves time for much. */
const FRESH_MS = 1_000;

export const isDear = (kinds: KindTable, id: ResourceId): boolean => traitsOf(kinds, id).observing === 'runs something';

/**
 * To be called before anything else may act on the host.
 * @returns null where the answer would hardly be of use: most likely there is a new commit, or much to do
 */
export async function prefetch(
  { store, snapshots, load, kinds, providers, clock, asked, io }: Run,
  previous: RunResult | null,
): Promise<Prefetched | null> {
  const { accepted, trial, pause } = store.commits.get();
  const atRest = previous?.outcome.verdict === 'well' && previous.outcome.commit?.commit === accepted;
  if (accepted === null || trial !== null || pause !== null || !atRest || asked.trigger === 'push') return null;
  const checkout = await snapshots.load(accepted);
  if (checkout === null) return null;
  const known = await load(checkout);
  if (known.host.decommission) return null;
  // Whatever is done to the host is written there first: then this is another one.
  const inventory = store.inventory.index();
  const ids = idsOf(known.byId(), inventory).filter((id) => !isDear(kinds, id));
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
