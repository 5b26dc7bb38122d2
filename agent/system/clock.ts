import { setTimeout as sleep } from 'node:timers/promises';

/** Time, passed in so that tests can hold it. */
export interface Clock {
  /** The date, which may be set forward and back at any moment: for records, calendars and what other machines say. */
  now(): Date;
  /** Whole milliseconds that only grow, whatever becomes of the date; they stand still while the machine sleeps (CLOCK_MONOTONIC). */
  monotonic(): number;
  /** Resolves after `ms`, or early when `signal` aborts; never rejects. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => new Date(),
  monotonic: () => Math.round(performance.now()),
  sleep: (ms, signal) => sleep(ms, undefined, signal ? { signal } : {}).catch(() => undefined),
};

/** Whether it ended before the time was up. */
export async function endsWithin(
  ms: number,
  work: Promise<unknown>,
  clock: Pick<Clock, 'sleep'> = systemClock,
): Promise<boolean> {
  const enough = new AbortController();
  const late = clock.sleep(ms, enough.signal).then(() => false);
  const ended = await Promise.race([work.then(() => true), late]);
  enough.abort();
  return ended;
}
