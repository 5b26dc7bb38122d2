/**
 * The connectivity guard: an endpoint (repository, broker) that was reachable before a commit must be reachable after it, or
 * the host rolls the commit back by itself. Network engineers know this as *commit confirmed*.
 *
 * The meaning of a probe's result depends on who can cause it. Any answer proves that the path works: a server that refuses,
 * sends an error or hangs up has a problem of its own. An error of this host (no route, no name, no trust) is the commit's
 * fault. Silence can be caused by whoever controls the network, so it never makes a commit bad at once: see `Endpoint.silence`.
 * If an endpoint stays unreachable after the rollback, the commit was not the cause.
 */
import type { ReasonCode } from '../../../../manifests-schema/reasons.ts';
import { reachOf } from '../../../core/reach.ts';
import type { Problem } from '../../../core/types.ts';
import { asAgentError } from '../../../errors.ts';
import type { ConnectivityGuard, Endpoint, Run, Unreachable } from '../../types.ts';

const PROBE_MS = 10_000;
const PAUSE_MS = 1_000;
/** How long an endpoint may take to become reachable again after a rollback. */
export const REOPEN_MS = 20_000;

/** Starts to probe at once, while the commit is still being planned and prepared. */
export function guardConnectivity(run: Run): ConnectivityGuard {
  return guard(
    run,
    unreachable(run.endpoints, run.io.signal).then((lost) =>
      run.endpoints.filter((endpoint) => !lost.some((l) => l.endpoint === endpoint)),
    ),
  );
}

/** For a trial that continues: the endpoints were probed before it began, and it may have cut them off since. */
export const resumeGuard = (run: Run, names: readonly string[]): ConnectivityGuard =>
  guard(run, Promise.resolve(endpointsNamed(run, names)));

/** For a commit that replaces an unfinished one, which may have cut off `names`: they must be reachable again as well. */
export const inheritGuard = (run: Run, { ready }: ConnectivityGuard, names: readonly string[]): ConnectivityGuard =>
  guard(
    run,
    ready.then((reachable) => endpointsNamed(run, [...reachable, ...names])),
  );

export const endpointsNamed = ({ endpoints }: Run, names: readonly string[]): Endpoint[] =>
  endpoints.filter(({ name }) => names.includes(name));

function guard(run: Run, reachable: Promise<readonly Endpoint[]>): ConnectivityGuard {
  let looked: Promise<Unreachable[]> | null = null;
  return {
    ready: reachable.then((endpoints) => endpoints.map(({ name }) => name)),
    look() {
      looked = reachable.then((endpoints) => unreachable(endpoints, run.io.signal));
    },
    async lost(moved, limitMs) {
      if (!moved && (await looked)?.length === 0) return run.io.signal.aborted ? null : [];
      return waitForEndpoints(run, await reachable, limitMs);
    },
  };
}

/**
 * Waits until all endpoints are reachable again.
 * @returns those that stayed unreachable; null if the agent was stopped before that was known
 */
export async function waitForEndpoints(
  run: Run,
  endpoints: readonly Endpoint[],
  limitMs: number,
): Promise<Unreachable[] | null> {
  const began = run.clock.monotonic();
  const soon = began + REOPEN_MS;
  const deadline = began + limitMs;
  for (;;) {
    const lost = await unreachable(endpoints, run.io.signal);
    // An aborted probe looks like an answer.
    if (run.io.signal.aborted) return null;
    if (lost.length === 0) return [];
    const now = run.clock.monotonic();
    // A loss that causes no rollback is not worth a long wait.
    if (now >= deadline || (now >= soon && lossOf(lost) === 'reported')) return lost;
    const detail = lost.map((l) => `waiting for the ${l.endpoint.name}: ${l.message}`).join('; ');
    run.io.emit({ type: 'phase', phase: 'settle', detail });
    await run.io.yielding(run.clock.sleep(PAUSE_MS, run.io.signal));
  }
}

async function unreachable(endpoints: readonly Endpoint[], signal: AbortSignal): Promise<Unreachable[]> {
  const answers = await Promise.all(
    endpoints.map(async (endpoint): Promise<Unreachable | null> => {
      const late = AbortSignal.timeout(PROBE_MS);
      try {
        await endpoint.probe(AbortSignal.any([signal, late]));
        return null;
      } catch (thrown) {
        // An aborted probe reports that it was stopped, which is no answer.
        if (late.aborted) return { endpoint, message: `no answer within ${PROBE_MS / 1_000} s`, reach: 'silent' };
        const error = asAgentError(thrown, { code: 'Unreachable', phase: 'settle', reach: reachOf(thrown) });
        return error.reach === 'answered' ? null : { endpoint, message: error.message, reach: error.reach };
      }
    }),
  );
  return answers.filter((s) => s !== null);
}

/**
 * The meaning of lost endpoints for the commit on trial: its own fault, silence that causes a rollback, or silence that is only
 * reported.
 */
export type Loss = 'fault' | 'silence' | 'reported';

export function lossOf(lost: readonly Unreachable[]): Loss {
  if (lost.some((l) => l.reach === 'here')) return 'fault';
  return lost.some((l) => l.endpoint.silence === 'rolls back') ? 'silence' : 'reported';
}

const problemOf = (lost: readonly Unreachable[], said: string, reason: ReasonCode = 'WayHomeShut'): Problem => ({
  id: lost.map((l) => l.endpoint.name).join(', '),
  reason,
  message: `${said}: ${lost.map((l) => l.message).join('; ')}`,
  file: null,
  line: null,
});

/** A problem that counts against the commit on trial. */
export const lossProblem = (lost: readonly Unreachable[]): Problem =>
  problemOf(lost, 'reachable before this commit, and not after it');

/** A problem that counts against no commit: whoever controls the broker could cause the silence. */
export const silenceProblem = (lost: readonly Unreachable[]): Problem =>
  problemOf(lost, 'answered before this commit, but no longer does; the commit is kept', 'BrokerSilent');

/** A problem that counts against no commit: everything that the commit did was rolled back. */
export const outageProblem = (lost: readonly Unreachable[]): Problem =>
  problemOf(lost, 'still unreachable after the rollback, so the commit was not the cause');
