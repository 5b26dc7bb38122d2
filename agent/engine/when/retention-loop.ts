/** Keeps the history within its limits between runs: in slices, with time for other work between them. */
import type { Store } from '../../store/db.ts';
import type { Clock } from '../../system/clock.ts';

export interface TendingOptions {
  store: Pick<Store, 'tend'>;
  keepMs: number;
  maxBytes: number;
  clock: Pick<Clock, 'now' | 'monotonic'>;
  /** A slice threw: the rest waits for the next run. Nobody else hears of it. */
  broke(thrown: unknown): void;
}

export interface Tending {
  /** To be called after each run. */
  tend(): void;
  /** The date was set: nothing is deleted by age until the new date has lasted for a while. */
  doubt(): void;
  stop(): void;
}

const PAUSE_MS = 100;
/** A date that is wrong by years is corrected within this time, or never. */
const DOUBT_MS = 3_600_000;

export function createTending({ store, keepMs, maxBytes, clock, broke }: TendingOptions): Tending {
  let timer: NodeJS.Timeout | null = null;
  let doubtUntil = Number.NEGATIVE_INFINITY;

  /** Deletes one slice. @returns whether there is more to do */
  function slice(): boolean {
    const doubted = clock.monotonic() < doubtUntil;
    const before = doubted ? null : new Date(clock.now().getTime() - keepMs).toISOString();
    try {
      return store.tend({ before, maxBytes });
    } catch (thrown) {
      broke(thrown);
      return false;
    }
  }
  /** Callers that wait for the run are answered first. */
  function later(): void {
    timer = setTimeout(() => {
      timer = null;
      if (slice()) later();
    }, PAUSE_MS).unref();
  }
  return {
    tend() {
      if (timer === null) later();
    },
    doubt() {
      doubtUntil = clock.monotonic() + DOUBT_MS;
    },
    stop() {
      if (timer === null) return;
      clearTimeout(timer);
      timer = null;
      // A process that makes one run and then ends cannot postpone it.
      slice();
    },
  };
}
