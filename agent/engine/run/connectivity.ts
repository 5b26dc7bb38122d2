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
import type { EngineDeps, HomeWatch, RunRequest, Shut, Way } from '../types.ts';

const PROBE_MS = 10_000;
const PAUSE_MS = 1_000;
/** How long a way may take to open again after a commit was taken back. */
const REOPEN_MS = 20_000;

/** Asks at once, while the commit is still being planned and prepared. */
export function watchHome(deps: EngineDeps, request: RunRequest): HomeWatch {
  return guard(
    deps,
    shutWays(deps.ways, request.signal).then((shut) => deps.ways.filter((way) => !shut.some((s) => s.way === way))),
    request,
  );
}

/** For a trial that goes on: what was open before it began was asked then, and may be shut by the trial itself now. */
export const watchHomeAgain = (deps: EngineDeps, names: readonly string[], request: RunRequest): HomeWatch =>
  guard(deps, Promise.resolve(waysNamed(deps, names)), request);

export const waysNamed = ({ ways }: EngineDeps, names: readonly string[]): Way[] =>
  ways.filter(({ name }) => names.includes(name));

function guard(deps: EngineDeps, open: Promise<readonly Way[]>, request: RunRequest): HomeWatch {
  let looked: Promise<Shut[]> | null = null;
  return {
    ready: open.then((ways) => ways.map(({ name }) => name)),
    look() {
      looked = open.then((ways) => shutWays(ways, request.signal));
    },
    async shut(moved, limitMs) {
      if (!moved && (await looked)?.length === 0) return request.signal.aborted ? null : [];
      return waitForHome(deps, await open, limitMs, request);
    },
  };
}

/**
 * Waits until all are open again.
 * @param limitMs null: as long as it may take after a commit was taken back
 * @returns those that stayed shut; null if the agent was stopped before that was known
 */
export async function waitForHome(
  deps: EngineDeps,
  ways: readonly Way[],
  limitMs: number | null,
  request: RunRequest,
): Promise<Shut[] | null> {
  const deadline = deps.clock.monotonic() + (limitMs ?? REOPEN_MS);
  for (;;) {
    const shut = await shutWays(ways, request.signal);
    // A probe that was broken off looks like an answer.
    if (request.signal.aborted) return null;
    if (shut.length === 0) return [];
    if (deps.clock.monotonic() >= deadline) return shut;
    const detail = shut.map((s) => `the way to the ${s.way.name}: ${s.message}`).join('; ');
    request.emit({ type: 'phase', phase: 'settle', detail });
    await request.aside(deps.clock.sleep(PAUSE_MS, request.signal));
  }
}

async function shutWays(ways: readonly Way[], signal: AbortSignal): Promise<Shut[]> {
  const answers = await Promise.all(
    ways.map(async (way): Promise<Shut | null> => {
      try {
        await way.probe(AbortSignal.any([signal, AbortSignal.timeout(PROBE_MS)]));
        return null;
      } catch (thrown) {
        const error = asAgentError(thrown, { code: 'Unreachable', phase: 'settle', reach: reachOf(thrown) });
        return error.reach === 'answered' ? null : { way, message: error.message };
      }
    }),
  );
  return answers.filter((s) => s !== null);
}

export const homeProblem = (shut: readonly Shut[]): Problem => ({
  id: shut.map((s) => s.way.name).join(', '),
  reason: 'WayHomeShut',
  message: `reachable before this commit, and not after it: ${shut.map((s) => s.message).join('; ')}`,
  file: null,
  line: null,
});
