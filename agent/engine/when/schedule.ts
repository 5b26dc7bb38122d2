/** Waits for the times that node-cron computes, and survives changes of the clock. */
import cron from 'node-cron';
import type { Clock } from '../../system/clock.ts';

export interface ScheduleOptions {
  /** A node-cron expression, in the machine's time zone. */
  expression: string;
  /** This host's offset within the splay. */
  offsetMs: number;
  clock: Pick<Clock, 'now' | 'monotonic'>;
  /** A run is due. */
  due(): void;
  /** The clock was set forward (or the machine slept) or back, by `ms`. */
  jumped(ms: number): void;
}

export interface Schedule {
  start(): void;
  /** When the next run is due, ISO 8601. */
  next(): string | null;
  stop(): void;
}

/** If the date deviates by more than this between two checks, it was set, or the machine slept. */
const JUMP_MS = 5_000;
/** One long timer would miss changes of the clock and time asleep. */
const LONGEST_MS = 10_000;

export function createSchedule({ expression, offsetMs, clock, due, jumped }: ScheduleOptions): Schedule {
  const task = cron.createTask(expression, () => undefined);
  let timer: NodeJS.Timeout | null = null;
  let match = Number.POSITIVE_INFINITY;
  /** Matches that wait for this host's offset, oldest first. */
  let waiting: number[] = [];
  let last = { date: 0, monotonic: 0 };

  const nextMatch = () => task.getNextRuns(1)[0]?.getTime() ?? Number.POSITIVE_INFINITY;
  const soonest = () => Math.min(match + offsetMs, ...waiting);

  function wake(): void {
    const now = { date: clock.now().getTime(), monotonic: clock.monotonic() };
    const jump = now.date - last.date - (now.monotonic - last.monotonic);
    last = now;
    // If the clock skipped a match, one run is due now; if the clock went back, all matches come again.
    const skipped = jump > JUMP_MS && soonest() <= now.date;
    if (Math.abs(jump) > JUMP_MS) {
      waiting = [];
      match = nextMatch();
      jumped(jump);
    } else if (now.date >= match) {
      waiting.push(match + offsetMs);
      match = nextMatch();
    }
    const ready = waiting.filter((at) => at <= now.date).length;
    waiting = waiting.slice(ready);
    if (skipped || ready > 0) due();
    arm(now.date);
  }

  function arm(now: number): void {
    const ms = Math.min(Math.min(match, ...waiting) - now, LONGEST_MS);
    timer = setTimeout(wake, Math.max(ms, 1));
  }

  return {
    start() {
      last = { date: clock.now().getTime(), monotonic: clock.monotonic() };
      match = nextMatch();
      arm(last.date);
    },
    next: () => (Number.isFinite(soonest()) ? new Date(soonest()).toISOString() : null),
    stop() {
      if (timer) clearTimeout(timer);
      timer = null;
      void task.destroy();
    },
  };
}
