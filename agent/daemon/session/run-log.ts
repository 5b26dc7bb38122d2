/** Log lines about runs and the clock. */

import type { RunResult } from '../../engine/run/reconcile.ts';
import type { Log } from '../../log.ts';

/** One line for a recorded run, and one for each problem; the reason of the whole run appears once. */
export function logRun(log: Log, { run, part, outcome }: RunResult): void {
  const { id, trigger, sync, changed, failed, durationMs: ms, message } = run;
  const { problems } = outcome;
  const matter = problems.find((p) => p.message === message);
  const said = { run: id, trigger, sync, changed, failed, ms };
  if (matter) log.warn({ ...said, reason: matter.reason }, message);
  else if (part?.recorded !== false) log.info(said, message || 'run finished');
  for (const p of problems.filter((problem) => problem !== matter))
    log.warn({ run: id, resource: p.id, reason: p.reason }, `${p.file ? `${p.file}:${p.line}: ` : ''}${p.message}`);
}

/** @param ms by which the clock jumped; negative if it was set back */
export function logJump(log: Log, ms: number): void {
  const message =
    ms > 0
      ? 'the clock was set forward, or the machine slept; the schedule goes by the new time'
      : 'the clock was set back; the schedule goes by the new time';
  log.warn({ seconds: Math.round(ms / 1_000) }, message);
}
