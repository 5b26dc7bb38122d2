/**
 * Runs that wait in memory to be written. A host without changes runs once a minute, and writing each run would cost tens of
 * megabytes a day. A run in progress is written together with its first other write. Of consecutive runs that found nothing to
 * do, the last one represents all since the one that is written.
 */
import type { RunRecord, Trigger } from '../../core/types.ts';
import type { Deferred } from '../disk/writer.ts';

export interface Begun {
  id: number;
  trigger: Trigger;
  at: string;
}

export interface QuietRuns extends Deferred {
  /** A run has started. */
  begin(run: Begun): void;
  /**
   * Whether the start of the run was written, because something else was written during it: then its end must be written, too.
   */
  isBegun(id: number): boolean;
  /** The run has ended, and is written. */
  end(id: number): void;
  /** Replaces the waiting quiet run. @param since start of the run that is written, ISO 8601 */
  replace(run: RunRecord, since: string): void;
  /** The quiet run that waits, and the start of its series. */
  last(): { run: RunRecord; since: string } | null;
}

export interface QuietRunsOptions {
  /** Both are called within a transaction. */
  insert(begun: Begun): void;
  finish(run: RunRecord): void;
}

export function createQuietRuns({ insert, finish }: QuietRunsOptions): QuietRuns {
  let underWay: Begun | null = null;
  let isWritten = false;
  let last: { run: RunRecord; since: string } | null = null;
  return {
    begin(run) {
      underWay = run;
      isWritten = false;
    },
    isBegun: (id) => underWay?.id === id && isWritten,
    end(id) {
      if (underWay?.id === id) underWay = null;
    },
    replace(run, since) {
      if (underWay?.id === run.id) underWay = null;
      last = { run, since };
    },
    last: () => last,
    waits: () => last !== null || (underWay !== null && !isWritten),
    write() {
      if (last !== null) {
        const { id, trigger, startedAt: at } = last.run;
        insert({ id, trigger, at });
        finish(last.run);
      }
      if (underWay !== null) insert(underWay);
    },
    written() {
      last = null;
      isWritten = true;
    },
  };
}

/** How long a quiet run may wait, ms: the part of the history that a crash may lose, in which nothing happened. */
export const QUIET_MS = 3_600_000;

/** Whether it may continue to wait. If the clock was set back, the waiting time is unknown. */
export const mayWait = (run: RunRecord, since: string): boolean => {
  const ms = Date.parse(run.startedAt) - Date.parse(since);
  return ms >= 0 && ms < QUIET_MS;
};
