/** Keeps the history within its limits beside the runs: slice by slice, with room for other work between two of them. */
import type { Store } from '../../store/db.ts';
import type { Clock } from '../../system/clock.ts';

export interface TendingOptions {
  store: Pick<Store, 'tend'>;
  keepMs: number;
  maxBytes: number;
  clock: Pick<Clock, 'now' | 'monotonic'>;
}

export interface Tending {
  /** To be called after each run. */
  tend(): void;
  /** The date was set: nothing goes by its age until the new date has stood for a while. */
  doubt(): void;
  stop(): void;
}

const PAUSE_MS = 100;
/** A date that is wrong by years is set right within this, or never. */
const DOUBT_MS = 3_600_000;

export function createTending({ store, keepMs, maxBytes, clock }: TendingOptions): Tending {
  let timer: NodeJS.Timeout | null = null;
  let doubtUntil = Number.NEGATIVE_INFINITY;

  /** @returns whether there is more to do */
  function slice(): boolean {
    const doubted = clock.monotonic() < doubtUntil;
    const before = doubted ? null : new Date(clock.now().getTime() - keepMs).toISOString();
    return store.tend({ before, maxBytes });
  }
  /** Whoever waits for the run is answered first. */
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
      // A process that makes one run and ends has no later.
      slice();
    },
  };
}
