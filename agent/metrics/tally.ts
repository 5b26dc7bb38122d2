/** Counters that live as long as the daemon. They begin at 0 with each start, as Prometheus expects of a counter. */
import type { AgentEvent, RunRecord, SyncState, Trigger } from '../core/types.ts';

export interface Counts {
  /** Recorded runs. */
  runs: readonly { trigger: Trigger; result: SyncState; count: number }[];
  durations: {
    readonly boundsSeconds: readonly number[];
    counts: readonly number[];
    sumSeconds: number;
    count: number;
  };
  /** Runs that failed or were rolled back, by their reason. */
  runFailures: ReadonlyMap<string, number>;
  /** Failures of resources, by code. */
  resourceFailures: ReadonlyMap<string, number>;
  events: Readonly<Record<AgentEvent['type'], number>>;
  /** End of the last run that found all as the repository has it, ms since 1970; null before the first one. */
  goodMs: number | null;
  /** The same of any run. */
  ranMs: number | null;
  lastDurationSeconds: number | null;
}

export interface Tally {
  /** A run was recorded. @param isWhole it was about all of the host, and asked the repository */
  ran(run: Pick<RunRecord, 'trigger' | 'sync' | 'reason' | 'startedAt' | 'durationMs'>, isWhole: boolean): void;
  /** An event was recorded: each failure, hold and drift is counted once until it changes. */
  told(event: Pick<AgentEvent, 'type' | 'data'>): void;
  counts(): Counts;
}

/** Buckets of a run's duration: a quiet run takes tens of milliseconds, one that pulls images and settles takes minutes. */
const BOUNDS_SECONDS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900];
const TRIGGERS: readonly Trigger[] = ['start', 'schedule', 'push', 'manual', 'drift', 'retry'];
/** They are there from the start, so that the first failure is an increase, and not a series that was born with 1. */
const FROM_START: readonly SyncState[] = ['synced', 'failed', 'rolled-back'];

export function createTally(): Tally {
  const runs = new Map<string, Counts['runs'][number]>(
    TRIGGERS.flatMap((trigger) =>
      FROM_START.map((result) => [`${trigger} ${result}`, { trigger, result, count: 0 }] as const),
    ),
  );
  const durations = {
    boundsSeconds: BOUNDS_SECONDS,
    counts: BOUNDS_SECONDS.map(() => 0),
    sumSeconds: 0,
    count: 0,
  };
  const runFailures = new Map<string, number>();
  const resourceFailures = new Map<string, number>();
  const events = { run: 0, change: 0, drift: 0, repair: 0, rollback: 0, hold: 0, gap: 0 };
  let goodMs: number | null = null;
  let ranMs: number | null = null;
  let lastDurationSeconds: number | null = null;

  return {
    ran({ trigger, sync, reason, startedAt, durationMs }, isWhole) {
      const key = `${trigger} ${sync}`;
      const found = runs.get(key) ?? { trigger, result: sync, count: 0 };
      runs.set(key, { ...found, count: found.count + 1 });
      const seconds = durationMs / 1000;
      BOUNDS_SECONDS.forEach((bound, i) => {
        if (seconds <= bound) durations.counts[i] = (durations.counts[i] ?? 0) + 1;
      });
      durations.sumSeconds += seconds;
      durations.count++;
      lastDurationSeconds = seconds;
      ranMs = Date.parse(startedAt) + durationMs;
      if (sync === 'failed' || sync === 'rolled-back') countUp(runFailures, reason || 'Internal');
      else if (isWhole && isGood(sync, reason)) goodMs = ranMs;
    },
    told({ type, data }) {
      events[type]++;
      const { result, error } = data as { result?: string; error?: { code?: string } | null };
      if (result === 'failed' && error?.code !== undefined) countUp(resourceFailures, error.code);
    },
    counts: () => ({
      ...{ runs: [...runs.values()], durations, runFailures, resourceFailures, events },
      ...{ goodMs, ranMs, lastDurationSeconds },
    }),
  };
}

/** With a reason something is the matter with the run, such as a repository that could not be read. */
const isGood = (sync: SyncState, reason: string): boolean => sync === 'synced' && reason === '';

const countUp = (counts: Map<string, number>, key: string): void => void counts.set(key, (counts.get(key) ?? 0) + 1);
