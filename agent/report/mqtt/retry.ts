/**
 * When the broker is tried again. A broker that restarts loses all its hosts in one moment, and would be asked by all of them in
 * the next: a connection that was lost is made again at a random moment of a window. A host that only starts, or has no way
 * out, disturbs nobody: it tries soon, and then less and less often. Pure.
 */
export interface Retry {
  /** @returns milliseconds until the next attempt */
  next(): number;
  /** A connection was lost after this time. */
  lost(lastedMs: number): void;
}

/** Soonest, and the window after a loss, and after each further attempt that failed. */
const SOON_MS = 500;
export const FIRST_WINDOW_MS = 30_000;
export const NEXT_WINDOW_MS = 60_000;
const FIRST_WAIT_MS = 1_000;
const LAST_WAIT_MS = 60_000;
/** A connection that lasted as long did not end because of anything that this host does. */
const STEADY_MS = 60_000;

/** @param random a number from 0 to below 1 */
export function createRetry(random: () => number): Retry {
  let window: number | null = null;
  let wait = FIRST_WAIT_MS;
  return {
    next() {
      if (window !== null) {
        const ms = SOON_MS + random() * window;
        window = NEXT_WINDOW_MS;
        return ms;
      }
      const ms = wait * (0.5 + random() / 2);
      wait = Math.min(wait * 2, LAST_WAIT_MS);
      return ms;
    },
    lost(lastedMs) {
      if (window === null || lastedMs >= STEADY_MS) window = FIRST_WINDOW_MS;
      else window = NEXT_WINDOW_MS;
    },
  };
}
