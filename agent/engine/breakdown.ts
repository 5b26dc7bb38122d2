/** What a run that threw amounts to: a state directory that cannot be written, or a bug. */
import type { RunRecord, Trigger } from '../core/types.ts';

export interface Breakdown {
  reason: 'StateUnwritable' | 'Internal';
  message: string;
}

/** Of SQLite (result codes, sqlite3.org) and of the kernel (errno(3)): the disk is full, broken or read only. */
const UNWRITABLE = /^(SQLITE_(FULL|IOERR|READONLY|CANTOPEN)|(ENOSPC|EDQUOT|EROFS|EIO|EFBIG)$)/;

/** @param state the state directory, to name it */
export function explainBreakdown(thrown: unknown, state: string): Breakdown {
  const code = (thrown as { code?: unknown } | null)?.code;
  const why = thrown instanceof Error ? thrown.message : String(thrown);
  return typeof code === 'string' && UNWRITABLE.test(code)
    ? {
        reason: 'StateUnwritable',
        message: `cannot write to ${state}: ${why}; free or mend the disk there. What is managed runs on, but nothing is changed without a record of it; fairlead tries again by itself`,
      }
    : {
        reason: 'Internal',
        message: `a run ended in a bug: ${why}; the log says where. fairlead tries again by itself`,
      };
}

/** The record of a run that could not be recorded: it has no number. */
export const brokenRun = ({ reason, message }: Breakdown, trigger: Trigger, at: Date): RunRecord => ({
  id: 0,
  trigger,
  startedAt: at.toISOString(),
  durationMs: 0,
  sync: 'failed',
  reason,
  message,
  commit: null,
  changed: 0,
  failed: 0,
  repaired: 0,
});
