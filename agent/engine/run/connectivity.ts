/**
 * The way home: a repository or broker that was reachable before a commit must be reachable after it, or the host itself
 * takes the commit back, as network engineers know it from *commit confirmed*.
 *
 * Told from an outage that the commit has nothing to do with in two steps. A far end that refuses, answers with an error or
 * hangs up shows that the way to it is open: that is its own trouble. Silence, no route, no name, no trust may be the
 * commit's doing: it is taken back, and if the way stays shut even then, the commit was innocent and is applied again.
 */
import { reachOf } from '../../core/reach.ts';
import type { Problem } from '../../core/types.ts';
import { asAgentError } from '../../errors.ts';
import type { ConnectivityGuard, Endpoint, Run, Unreachable } from '../types.ts';

const PROBE_MS = 10_000;
const PAUSE_MS = 1_000;
/** How long a way may take to open again after a commit was taken back. */
const REOPEN_MS = 20_000;

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
 * @param limitMs null: as long as it may take after a commit was taken back
 * @returns those that stayed out of reach; null if the agent was stopped before that was known
 */
export async function waitForEndpoints(
  run: Run,
  endpoints: readonly Endpoint[],
  limitMs: number | null,
): Promise<Unreachable[] | null> {
  const deadline = run.clock.monotonic() + (limitMs ?? REOPEN_MS);
  for (;;) {
    const lost = await unreachable(endpoints, run.io.signal);
    // A probe that was broken off looks like an answer.
    if (run.io.signal.aborted) return null;
    if (lost.length === 0) return [];
    if (run.clock.monotonic() >= deadline) return lost;
    const detail = lost.map((l) => `the way to the ${l.endpoint.name}: ${l.message}`).join('; ');
    run.io.emit({ type: 'phase', phase: 'settle', detail });
    await run.io.yielding(run.clock.sleep(PAUSE_MS, run.io.signal));
  }
}

async function unreachable(endpoints: readonly Endpoint[], signal: AbortSignal): Promise<Unreachable[]> {
  const answers = await Promise.all(
    endpoints.map(async (endpoint): Promise<Unreachable | null> => {
      try {
        await endpoint.probe(AbortSignal.any([signal, AbortSignal.timeout(PROBE_MS)]));
        return null;
      } catch (thrown) {
        const error = asAgentError(thrown, { code: 'Unreachable', phase: 'settle', reach: reachOf(thrown) });
        return error.reach === 'answered' ? null : { endpoint, message: error.message };
      }
    }),
  );
  return answers.filter((s) => s !== null);
}

const problemOf = (lost: readonly Unreachable[], said: string): Problem => ({
  id: lost.map((l) => l.endpoint.name).join(', '),
  reason: 'WayHomeShut',
  message: `${said}: ${lost.map((l) => l.message).join('; ')}`,
  file: null,
  line: null,
});

/** Speaks against the commit on trial. */
export const lossProblem = (lost: readonly Unreachable[]): Problem =>
  problemOf(lost, 'reachable before this commit, and not after it');

/** Speaks against no commit: everything that the commit did was taken back. */
export const outageProblem = (lost: readonly Unreachable[]): Problem =>
  problemOf(lost, 'cannot be reached, which no commit of this host has to do with');
