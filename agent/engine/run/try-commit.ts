/** A new commit on trial: before it may count as well, everything that could be reached must be reachable again. */
import { durationMs } from '../../../manifests-schema/duration.ts';
import type { Checkout, ResourceId } from '../../core/types.ts';
import { TRY } from '../decide/mode.ts';
import { withOutage } from '../decide/tell.ts';
import { unbegun } from '../decide/unapplied.ts';
import type { ConnectivityGuard, Outcome, Run, Unreachable } from '../types.ts';
import { guardConnectivity, inheritGuard, lossOf, lossProblem, resumeGuard, silenceProblem } from './connectivity.ts';
import { converge } from './converge.ts';
import type { Reviewed } from './door.ts';
import { isDiskTrouble } from './notes.ts';

/** What a trial came to, and what it did to the way home. */
export interface Tried {
  outcome: Outcome;
  /** Names of the endpoints that it cut off. */
  lost: readonly string[];
  /** They are merely silent, which is no proof against the commit. */
  isSilence: boolean;
}

export async function tryCommit(run: Run, head: Reviewed): Promise<Tried> {
  const loaded = await run.load(head);
  let lost: readonly Unreachable[] = [];
  try {
    const guard = guardOf(run, head);
    forgiveBefore(run, loaded.content());
    const outcome = await converge(run, {
      checkout: head,
      mode: TRY,
      gate: null,
      alreadyRan: ranBefore(run, loaded.content()),
      trial: {
        ready: guard.ready,
        applied: guard.look,
        async prove(moved) {
          const found = await guard.lost(moved, durationMs(loaded.host.settle?.timeout ?? '5m'));
          if (found === null) return 'unknown';
          lost = found;
          return lost.length === 0 || lossOf(lost) === 'told' ? null : lossProblem(lost);
        },
      },
    });
    if (lost.length === 0) return { outcome, lost: [], isSilence: false };
    const loss = lossOf(lost);
    if (loss === 'told') return { outcome: withOutage(outcome, silenceProblem(lost)), lost: [], isSilence: false };
    return { outcome, lost: lost.map(({ endpoint }) => endpoint.name), isSilence: loss === 'silence' };
  } catch (thrown) {
    if (isDiskTrouble(thrown)) return { outcome: unbegun(head, loaded, thrown), lost: [], isSilence: false };
    throw thrown;
  }
}

/** For a trial that goes on, what could be reached before it began was asked then: the trial itself may have cut it off. */
function guardOf(run: Run, { info }: Checkout): ConnectivityGuard {
  const { trial, trialEndpoints, wayBack } = run.store.commits.get();
  if (trial === info.commit && trialEndpoints !== null) return resumeGuard(run, trialEndpoints);
  const now = run.scratch.guard ?? guardConnectivity(run);
  // A commit that was not brought to its end may have cut these off: the next one does not get by with what is left.
  const begun = trial === null ? [] : (trialEndpoints ?? []);
  const before = [...begun, ...(wayBack?.endpoints ?? [])];
  return before.length > 0 ? inheritGuard(run, now, before) : now;
}

/** A commit that is tried again after a silence, or since it proved innocent, does not run again what it ran. */
export function ranBefore({ store }: Run, content: string): ReadonlySet<ResourceId> {
  const { silenced } = store.commits.get();
  return new Set(silenced?.content === content ? silenced.ran : []);
}

/** The repository answered with this commit, so the way that led back from another one is open. */
function forgiveBefore({ store }: Run, content: string): void {
  store.commits.forgive(content);
  if (store.commits.get().wayBack !== null) store.commits.set({ wayBack: null });
}
