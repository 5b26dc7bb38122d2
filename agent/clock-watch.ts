/** What becomes of a doubt about this host's date: a problem of the status, a line of the log, and a history that keeps its age. */
import os from 'node:os';
import type { ClockDoubt } from './core/clock-doubt.ts';
import type { Problem } from './core/types.ts';
import { createClockGuard } from './engine/when/clock-guard.ts';
import type { Log } from './log.ts';
import type { Store } from './store/db.ts';
import { exec } from './system/exec.ts';
import { timeSync } from './system/time-sync.ts';

export interface ClockWatchOptions {
  store: Pick<Store, 'runs' | 'facts'>;
  log: Log;
  /** The date is doubted: nothing may go by its age. */
  doubted(): void;
  /** There is another answer of `problems`. */
  changed(): void;
}

export interface ClockWatch {
  /** To be called at the start, after each run, and when the date was set. */
  look(): void;
  /** Why the date is not believed, or is still to be confirmed; asks a time server's client if that matters. */
  confirm(): Promise<ClockDoubt | null>;
  problems(): readonly Problem[];
}

export function createClockWatch({ store, log, doubted, changed }: ClockWatchOptions): ClockWatch {
  const guard = createClockGuard({
    now: Date.now,
    sinceBoot: () => os.uptime() * 1_000,
    recorded: newestRecord(store),
    sync: () => timeSync(exec),
  });
  let told: string | null = null;
  return {
    look() {
      void guard.look().then((doubt) => {
        if (doubt !== null) doubted();
        const message = doubt?.message ?? null;
        if (message === told) return;
        told = message;
        if (message !== null) log.warn({ reason: 'ClockWrong' }, message);
        changed();
      });
    },
    confirm: guard.confirm,
    problems() {
      const doubt = guard.doubt();
      if (!doubt?.isWrong) return [];
      return [{ id: 'clock', reason: 'ClockWrong', message: doubt.message, file: null, line: null }];
    },
  };
}

/** The newest date that the store has of this host, ms; null if it has none. */
function newestRecord({ runs, facts }: ClockWatchOptions['store']): number | null {
  const dates = [Date.parse(runs.newest()?.startedAt ?? ''), facts.get('leftMs') ?? Number.NaN];
  const known = dates.filter((date) => Number.isFinite(date));
  return known.length > 0 ? Math.max(...known) : null;
}
