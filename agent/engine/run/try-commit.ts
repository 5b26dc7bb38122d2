/** A new commit on trial: before it counts as well, every endpoint that was reachable must be reachable again. */
import { durationMs } from '../../../manifests-schema/duration.ts';
import type { Checkout, ResourceId } from '../../core/types.ts';
import { TRY } from '../decide/mode.ts';
import { withOutage } from '../decide/outcomes.ts';
import { notBegun } from '../decide/unapplied.ts';
import type { ConnectivityGuard, Outcome, Run, Unreachable } from '../types.ts';
import { converge } from './converge.ts';
import {
  guardConnectivity,
  inheritGuard,
  lossOf,
  lossProblem,
  resumeGuard,
  silenceProblem,
} from './guards/connectivity.ts';
import type { Reviewed } from './guards/door.ts';
import { isDiskTrouble } from './records/notes.ts';

/** The result of a trial, and what it did to the connectivity. */
export interface Tried {
  outcome: Outcome;
  /** Names of the endpoints that it cut off. */
  lost: readonly string[];
  /** They are only silent, which is no proof against the commit. */
  isSilence: boolean;
}

export async function tryCommit(run: Run, head: Reviewed): Promise<Tried> {
  const loaded = await run.load(head);
  let lost: readonly Unreachable[] = [];
  try {
    const guard = guardOf(run, head);
    const before = unwellBeforeEarlierTrial(run, head);
    forgiveBefore(run, loaded.content());
    const outcome = await converge(run, {
      checkout: head,
      mode: TRY,
      gate: null,
      alreadyRan: ranBefore(run, loaded.content()),
      trial: {
        ready: guard.ready,
        unwellBeforeTrial: before,
        applied: guard.look,
        async prove(moved) {
          const found = await guard.lost(moved, durationMs(loaded.host.settle?.timeout ?? '5m'));
          if (found === null) return 'unknown';
          lost = found;
          return lost.length === 0 || lossOf(lost) === 'reported' ? null : lossProblem(lost);
        },
      },
    });
    if (lost.length === 0) return { outcome, lost: [], isSilence: false };
    const loss = lossOf(lost);
    if (loss === 'reported') return { outcome: withOutage(outcome, silenceProblem(lost)), lost: [], isSilence: false };
    return { outcome, lost: lost.map(({ endpoint }) => endpoint.name), isSilence: loss === 'silence' };
  } catch (thrown) {
    if (isDiskTrouble(thrown)) return { outcome: notBegun(head, loaded, thrown), lost: [], isSilence: false };
    throw thrown;
  }
}

/** For a trial that continues, the endpoints were probed before it began: the trial itself may have cut them off. */
function guardOf(run: Run, { info }: Checkout): ConnectivityGuard {
  const { trial, trialEndpoints, pendingRollback } = run.store.commits.get();
  if (trial === info.commit && trialEndpoints !== null) return resumeGuard(run, trialEndpoints);
  const now = run.scratch.guard ?? guardConnectivity(run);
  // An unfinished commit may have cut these off; the next one must make them reachable again.
  const begun = trial === null ? [] : (trialEndpoints ?? []);
  const before = [...begun, ...(pendingRollback?.endpoints ?? [])];
  return before.length > 0 ? inheritGuard(run, now, before) : now;
}

/** Another commit was begun, or is being rolled back: the host is no longer as it was before that one. */
function unwellBeforeEarlierTrial({ store }: Run, { info }: Checkout): readonly ResourceId[] | null {
  const { trial, pendingRollback } = store.commits.get();
  const isBegun = (trial !== null && trial !== info.commit) || pendingRollback !== null;
  return isBegun ? (store.facts.get('unwellBeforeTrial') ?? []) : null;
}

/** A commit that is tried again, after a silence or because it was not the cause, does not run the same jobs again. */
export function ranBefore({ store }: Run, content: string): ReadonlySet<ResourceId> {
  const { postponed } = store.commits.get();
  return new Set(postponed?.content === content ? postponed.ran : []);
}

/** The repository answered with this commit, so the earlier rollback because of an unreachable repository is settled. */
function forgiveBefore({ store }: Run, content: string): void {
  store.commits.forgive(content);
  if (store.commits.get().pendingRollback !== null) store.commits.set({ pendingRollback: null });
}
