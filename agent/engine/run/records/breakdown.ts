/** The cause of a run that threw: the state directory cannot be written, or there is a bug. */
import type { RunRecord, Trigger } from '../../../core/types.ts';
import { isUnwritable, unwritable } from '../../../store/disk/unwritable.ts';

export interface Breakdown {
  reason: 'StateUnwritable' | 'Internal';
  message: string;
}

/** @param state the state directory, for the message */
export function explainBreakdown(thrown: unknown, state: string): Breakdown {
  if (isUnwritable(thrown)) return { reason: 'StateUnwritable', message: unwritable(state, thrown).message };
  const why = thrown instanceof Error ? thrown.message : String(thrown);
  return {
    reason: 'Internal',
    message: `a run ended in a bug: ${why}; the log says where. fairlead tries again by itself`,
  };
}

/** The record of a run that could not be stored: it has no number. */
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
