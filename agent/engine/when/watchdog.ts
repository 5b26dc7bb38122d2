/**
 * Decides when the systemd watchdog may be fed (sd_notify(3), WATCHDOG=1): by the progress of runs, not by a timer. A run that
 * hangs while the event loop still turns must not go unnoticed, because nothing is repaired meanwhile.
 */
import type { Phase, SyncLine } from '../../core/progress.ts';
import type { Clock } from '../../system/clock.ts';

/**
 * How long a run may be silent in each phase, in ms: longer than the longest single call of the phase. Pulling an image and
 * starting a unit may take half an hour; longer operations announce it (`withinMs`), and each received part of the repository
 * is a sign of life.
 */
const SILENT_MS: Record<Phase, number> = {
  queue: 300_000,
  fetch: 600_000,
  plan: 300_000,
  prepare: 2_100_000,
  apply: 2_100_000,
  settle: 300_000,
  rollback: 300_000,
};
/** Phases that may wait for the repository; in other phases, received data belongs to another caller, such as a plan. */
const FETCHING: readonly Phase[] = ['fetch', 'rollback'];
/** If a scheduled run is this late, the schedule is dead. */
const OVERDUE_MS = 600_000;

export interface WatchedRun {
  /** The run showed a sign of life. @param line its progress line; missing if it received a part of the repository */
  heard(line?: SyncLine): void;
  ended(): void;
}

export interface Watchdog {
  /** @param first the first phase of the run: a repair reports nothing before it acts */
  begin(first: Phase): WatchedRun;
  /** @param next when the next scheduled run is due, ISO 8601; null if there is none */
  mayBeFed(next: string | null): boolean;
}

export function createWatchdog(clock: Pick<Clock, 'now' | 'monotonic'>): Watchdog {
  /** Each current run, with the time until which it may be silent. */
  const running = new Map<WatchedRun, number>();
  return {
    begin(first) {
      let phase = first;
      /** The end of an operation that was announced in this phase. */
      let announced = 0;
      const extend = () => void running.set(run, Math.max(announced, clock.monotonic() + SILENT_MS[phase]));
      const run: WatchedRun = {
        heard(line) {
          if (line === undefined && !FETCHING.includes(phase)) return;
          if (line?.type === 'phase') {
            if (line.phase !== phase) announced = 0;
            phase = line.phase;
            announced = Math.max(announced, clock.monotonic() + SILENT_MS[phase] + (line.withinMs ?? 0));
          }
          extend();
        },
        ended: () => void running.delete(run),
      };
      extend();
      return run;
    },
    mayBeFed(next) {
      const now = clock.monotonic();
      if (running.size > 0) return [...running.values()].every((until) => now < until);
      return next === null || clock.now().getTime() - Date.parse(next) < OVERDUE_MS;
    },
  };
}
