/**
 * The way home: an endpoint (repository, broker) that could be reached before a commit must be reachable after it, or the
 * host itself takes the commit back, as network engineers know it from *commit confirmed*.
 *
 * What an endpoint's answer means is weighed by who could have made it. An answer of any kind shows that the way is open: a
 * far end that refuses, sends an error or hangs up has trouble of its own. What this host itself says (no route, no name, no
 * trust) is the commit's doing. Mere silence can be made by whoever holds the network, so it never makes a commit bad at once:
 * see `Endpoint.silence`. If an endpoint stays out of reach when everything is taken back, the commit was innocent.
 */
import type { ReasonCode } from '../../../manifests-schema/reasons.ts';
import { reachOf } from '../../core/reach.ts';
import type { Problem } from '../../core/types.ts';
import { asAgentError } from '../../errors.ts';
import type { ConnectivityGuard, Endpoint, Run, Unreachable } from '../types.ts';

const PROBE_MS = 10_000;
const PAUSE_MS = 1_000;
/** How long a way may take to open again after a commit was taken back. */
export const REOPEN_MS = 20_000;

/** Asks at once, while the commit is still being planned and prepared. */
export function guardConnectivity(run: Run): ConnectivityGuard {
  return guard(
    run,
    unreachable(run.endpoints, run.io.signal).then((lost) =>
      run.endpoints.filter((endpoint) => !lost.some((l) => l.endpoint === endpoint)),
    ),
  );
}

/** For a trial that goes on: what could be reached was asked before it began, and may be cut off by the trial itself now. */
export const resumeGuard = (run: Run, names: readonly string[]): ConnectivityGuard =>
  guard(run, Promise.resolve(endpointsNamed(run, names)));

/** For a commit that takes the place of an unfinished one, which may have cut off `names`: they must be reachable again, too. */
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
 * Waits until all can be reached again.
 * @returns those that stayed out of reach; null if the agent was stopped before that was known
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
    // A probe that was broken off looks like an answer.
    if (run.io.signal.aborted) return null;
    if (lost.length === 0) return [];
    const now = run.clock.monotonic();
    // What takes nothing back is not worth a long wait.
    if (now >= deadline || (now >= soon && lossOf(lost) === 'told')) return lost;
    const detail = lost.map((l) => `the way to the ${l.endpoint.name}: ${l.message}`).join('; ');
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
        // A probe that was given up says that it was stopped, which is no answer.
        if (late.aborted) return { endpoint, message: `no answer within ${PROBE_MS / 1_000} s`, reach: 'silent' };
        const error = asAgentError(thrown, { code: 'Unreachable', phase: 'settle', reach: reachOf(thrown) });
        return error.reach === 'answered' ? null : { endpoint, message: error.message, reach: error.reach };
      }
    }),
  );
  return answers.filter((s) => s !== null);
}

/** What lost endpoints mean for the commit on trial: its own fault, silence that takes it back, or silence that is told. */
export type Loss = 'fault' | 'silence' | 'told';

export function lossOf(lost: readonly Unreachable[]): Loss {
  if (lost.some((l) => l.reach === 'here')) return 'fault';
  return lost.some((l) => l.endpoint.silence === 'takes back') ? 'silence' : 'told';
}

const problemOf = (lost: readonly Unreachable[], said: string, reason: ReasonCode = 'WayHomeShut'): Problem => ({
  id: lost.map((l) => l.endpoint.name).join(', '),
  reason,
  message: `${said}: ${lost.map((l) => l.message).join('; ')}`,
  file: null,
  line: null,
});

/** Speaks against the commit on trial. */
export const lossProblem = (lost: readonly Unreachable[]): Problem =>
  problemOf(lost, 'reachable before this commit, and not after it');

/** Speaks against no commit: whoever holds the broker could be silent at will. */
export const silenceProblem = (lost: readonly Unreachable[]): Problem =>
  problemOf(lost, 'answered before this commit, and is silent after it; the commit is kept', 'BrokerSilent');

/** Speaks against no commit: everything that the commit did was taken back. */
export const outageProblem = (lost: readonly Unreachable[]): Problem =>
  problemOf(lost, 'cannot be reached, which no commit of this host has to do with');
