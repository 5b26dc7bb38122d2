/** A new commit on trial: before it may count as well, everything that could be reached must be reachable again. */
import { durationMs } from '../../config.ts';
import type { Checkout } from '../../core/types.ts';
import type { ConnectivityGuard, Outcome, Run, Unreachable } from '../types.ts';
import { guardConnectivity, lossProblem, resumeGuard } from './connectivity.ts';
import { converge } from './converge.ts';
import { TRY } from './mode.ts';
import { isDiskTrouble } from './notes.ts';
import { unbegun } from './unapplied.ts';

/** @returns what it came to, and the names of the endpoints that it cut off */
export async function tryCommit(run: Run, head: Checkout): Promise<{ outcome: Outcome; lost: readonly string[] }> {
  const loaded = await run.load(head);
  let lost: readonly Unreachable[] = [];
  try {
    const guard = guardOf(run, head);
    forgiveBefore(run, loaded.content());
    const outcome = await converge(run, {
      checkout: head,
      mode: TRY,
      gate: null,
      trial: {
        ready: guard.ready,
        applied: guard.look,
        async prove(moved) {
          const found = await guard.lost(moved, durationMs(loaded.host.settle?.timeout ?? '5m'));
          lost = found ?? [];
          return found === null ? 'unknown' : found.length === 0 ? null : lossProblem(found);
        },
      },
    });
    return { outcome, lost: lost.map(({ endpoint }) => endpoint.name) };
  } catch (thrown) {
    if (isDiskTrouble(thrown)) return { outcome: unbegun(head, loaded, thrown), lost: [] };
    throw thrown;
  }
}

/** For a trial that goes on, what could be reached before it began was asked then: the trial itself may have cut it off. */
function guardOf(run: Run, { info }: Checkout): ConnectivityGuard {
  const { trial, trialEndpoints } = run.store.commits.get();
  if (trial === info.commit && trialEndpoints !== null) return resumeGuard(run, trialEndpoints);
  return run.scratch.guard ?? guardConnectivity(run);
}

/** The repository answered with this commit, so the way that led back from another one is open. */
function forgiveBefore({ store }: Run, content: string): void {
  store.commits.forgive(content);
  if (store.commits.get().wayBack !== null) store.commits.set({ wayBack: null });
}
