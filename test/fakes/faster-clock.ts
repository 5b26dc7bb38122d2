/**
 * Time that passes faster than real time. Keep the factor small for processes that wait for each other's messages, because these
 * take real time.
 */
import type { Clock } from '../../agent/system/clock.ts';

export const createFasterClock = (factor: number): Clock => {
  const begin = Date.now();
  return {
    now: () => new Date(begin + (Date.now() - begin) * factor),
    monotonic: () => Math.round(performance.now() * factor),
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        const timer = setTimeout(resolve, ms / factor);
        signal?.addEventListener('abort', () => {
          clearTimeout(timer);
          resolve();
        });
        if (signal?.aborted) resolve();
      }),
  };
};
