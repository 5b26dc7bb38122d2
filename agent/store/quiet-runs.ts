/**
 * Runs that wait in memory to be written. A host that is as it should be runs once a minute, and each run would write to the
 * disk that it is so still: tens of megabytes a day. A run under way is written with the first thing that it writes, and of
 * runs in a row that found nothing to do the last one stands for all since the one that is written.
 */
import type { RunRecord, Trigger } from '../core/types.ts';
import type { Deferred } from './writer.ts';

export interface Begun {
  id: number;
  trigger: Trigger;
  at: string;
}

export interface QuietRuns extends Deferred {
  /** A run is under way. */
  begin(run: Begun): void;
  /** Something was written while it was under way, and so was its beginning: then its end must be, too. */
  isBegun(id: number): boolean;
  /** It ended, and is written. */
  end(id: number): void;
  /** Takes the place of the quiet run before it. @param since start of the one that is written, ISO 8601 */
  replace(run: RunRecord, since: string): void;
  /** The quiet run that waits, and since when. */
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

/** How long a quiet run may wait, ms: what a crash costs of the history, which says that nothing happened. */
export const QUIET_MS = 3_600_000;

/** Whether it may go on to wait. A clock that was set back says nothing of how long it was. */
export const mayWait = (run: RunRecord, since: string): boolean => {
  const ms = Date.parse(run.startedAt) - Date.parse(since);
  return ms >= 0 && ms < QUIET_MS;
};
