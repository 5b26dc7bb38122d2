/** Handles a doubt about this host's date: a problem in the status, a line in the log, and a history whose entries do not expire. */
import os from 'node:os';
import type { ClockDoubt } from '../../core/clock-doubt.ts';
import type { Problem } from '../../core/types.ts';
import { createClockGuard } from '../../engine/when/clock-guard.ts';
import type { Log } from '../../log.ts';
import type { Store } from '../../store/db.ts';
import { exec } from '../../system/exec.ts';
import { timeSync } from '../../system/time-sync.ts';

export interface ClockWatchOptions {
  store: Pick<Store, 'runs' | 'facts'>;
  log: Log;
  /** The date is in doubt: nothing may expire by its age. */
  doubted(): void;
  /** The result of `problems` has changed. */
  changed(): void;
}

export interface ClockWatch {
  /** To be called at the start, after each run, and after the date was set. */
  look(): void;
  /** Why the date is in doubt or not yet confirmed; asks the client of a time server if that matters. */
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

/** The newest date that the store has recorded, ms; null if none. */
function newestRecord({ runs, facts }: ClockWatchOptions['store']): number | null {
  const dates = [Date.parse(runs.newest()?.startedAt ?? ''), facts.get('leftMs') ?? Number.NaN];
  const known = dates.filter((date) => Number.isFinite(date));
  return known.length > 0 ? Math.max(...known) : null;
}
