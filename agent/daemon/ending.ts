/** Ends the daemon: its parts stop in order, all within one deadline. */
import type { Log } from '../log.ts';
import { type Clock, endsWithin } from '../system/clock.ts';

export interface EndingParts {
  /** Resolves when the current run and the session have ended. */
  session(): Promise<void>;
  /** The session has ended, or is abandoned. */
  left(): void;
  /** Parts that send their last reports and close, independently of each other. */
  others: readonly (() => Promise<void> | undefined)[];
}

/** One second less than the grace period of Docker and of many units. */
const ENDING_MS = 9_000;
/** Minimum time that is left for the other parts. */
const OTHERS_MS = 3_500;

/**
 * Never rejects: a failure is logged, and the rest ends all the same.
 * @returns whether the session ended by itself; if not, the current step may still write
 */
export async function endAll(
  parts: EndingParts,
  clock: Pick<Clock, 'monotonic' | 'sleep'>,
  log: Log,
): Promise<boolean> {
  const deadline = clock.monotonic() + ENDING_MS;
  const within = (ms: number, stop: () => Promise<void> | undefined): Promise<boolean> => {
    const stopped = async () => {
      try {
        await stop();
      } catch (thrown) {
        log.error(
          { error: thrown instanceof Error ? thrown.stack : String(thrown) },
          'a part of the agent did not end well',
        );
      }
    };
    return endsWithin(ms, stopped(), clock);
  };
  const finished = await within(ENDING_MS - OTHERS_MS, parts.session);
  if (!finished) log.warn({}, 'the current step did not end in time; the next start continues it');
  parts.left();
  const rest = deadline - clock.monotonic();
  await Promise.all(parts.others.map((stop) => within(rest, stop)));
  return finished;
}
