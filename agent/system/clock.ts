import { setTimeout as sleep } from 'node:timers/promises';

/** The longest time of a timer in ms, about 24.8 days: Node takes a longer one for 1 ms. */
export const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Time, passed in so that tests can hold it. */
export interface Clock {
  /** The date, which may be set forward and back at any moment: for records, calendars and what other machines say. */
  now(): Date;
  /** Whole milliseconds that only grow, whatever becomes of the date; they stand still while the machine sleeps (CLOCK_MONOTONIC). */
  monotonic(): number;
  /** Resolves after `ms`, or after LONGEST_TIMER_MS if that is less, or early when `signal` aborts; never rejects. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => new Date(),
  monotonic: () => Math.round(performance.now()),
  sleep: (ms, signal) =>
    sleep(Math.min(ms, LONGEST_TIMER_MS), undefined, signal ? { signal } : {}).catch(() => undefined),
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
