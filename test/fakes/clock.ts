/** Time that passes only while somebody sleeps, and then at once. */
import type { Clock } from '../../agent/system/clock.ts';

export interface FakeClock extends Clock {
  /** Calls `act` after this much time. @returns a function that cancels it */
  after(ms: number, act: () => void): () => void;
}

interface Timer {
  due: number;
  act: () => void;
  /** Somebody sleeps until then: time advances for them. */
  isSleep: boolean;
}

/** @param start date of the first moment, milliseconds since the epoch */
export function createFakeClock(start = Date.parse('2026-03-01T12:00:00Z')): FakeClock {
  let time = 0;
  let timers: Timer[] = [];
  let turning = false;
  const add = (ms: number, act: () => void, isSleep: boolean): (() => void) => {
    const timer = { due: time + Math.max(0, ms), act, isSleep };
    timers.push(timer);
    return () => {
      timers = timers.filter((other) => other !== timer);
    };
  };
  /** The earliest timer; of several at one moment the one that was set first. */
  const earliest = (): Timer | undefined =>
    timers.reduce<Timer | undefined>((first, timer) => (first && first.due <= timer.due ? first : timer), undefined);
  const turn = () => {
    if (turning) return;
    turning = true;
    // Everything that can be done at this moment is done before the next one.
    setImmediate(() => {
      turning = false;
      while (timers.some((timer) => timer.isSleep)) {
        const next = earliest();
        if (next === undefined) return;
        timers = timers.filter((timer) => timer !== next);
        time = Math.max(time, next.due);
        next.act();
        if (!next.isSleep) continue;
        if (timers.some((timer) => timer.isSleep)) turn();
        return;
      }
    });
  };
  return {
    now: () => new Date(start + time),
    monotonic: () => time,
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted) return resolve();
        const callOff = add(ms, resolve, true);
        signal?.addEventListener(
          'abort',
          () => {
            callOff();
            resolve();
          },
          { once: true },
        );
        turn();
      }),
    after: (ms, act) => add(ms, act, false),
  };
}
