/** The end of a run: the run, its actions and its events go into the store in one transaction. */

import type { ActionRecord, AgentEvent, RunRecord } from '../core/types.ts';
import { syncOf } from '../core/verdict.ts';
import type { EngineDeps, Outcome } from './types.ts';

type Draft = Omit<AgentEvent, 'id' | 'seq'>;

export function record(
  deps: EngineDeps,
  run: Pick<RunRecord, 'id' | 'trigger' | 'startedAt' | 'durationMs'>,
  outcome: Outcome,
): RunRecord {
  const done = outcome.actions.filter((a) => a.result === 'done');
  const finished: RunRecord = {
    ...run,
    sync: syncOf(outcome.resources, outcome.whole),
    reason: outcome.reason,
    message: outcome.message,
    commit: outcome.commit,
    changed: done.length,
    failed: outcome.actions.filter((a) => a.result === 'failed' || a.result === 'blocked').length,
    repaired: done.filter((a) => a.drift).length,
  };
  const previous = deps.store.runs.list({ limit: 2 }).find((r) => r.id !== run.id);
  const at = deps.clock.now().toISOString();
  const events = [...outcome.actions.map((a) => actionEvent(a, run.id, at)).filter((e) => e !== null)];
  if (worthTelling(finished, previous)) events.push(runEvent(finished, at));
  deps.store.runs.finish(finished, [...outcome.actions], events);
  if (outcome.actions.length > 0) deps.store.saveCopy();
  if (outcome.resources.length > 0 && finished.sync === 'synced' && outcome.commit) {
    const { commit, content } = outcome.commit;
    const applied = deps.store.meta.get<{ commit: string }>('applied');
    // A commit that changes nothing for this host has been seen, not applied.
    const same = content !== undefined && deps.store.meta.get<string>('appliedContent') === content;
    if (applied === undefined || (applied.commit !== commit && !same)) {
      deps.store.meta.set('applied', { commit, at, run: run.id });
      deps.store.meta.set('appliedContent', content ?? null);
    }
    if (deps.store.meta.get<string>('lastGood') !== commit) deps.store.meta.set('lastGood', commit);
  }
  return finished;
}

/** A run that found nothing to do and nothing new is no news. */
function worthTelling(run: RunRecord, previous: RunRecord | undefined): boolean {
  return (
    run.changed + run.failed > 0 ||
    previous === undefined ||
    previous.sync !== run.sync ||
    previous.reason !== run.reason ||
    previous.commit?.commit !== run.commit?.commit
  );
}

function actionEvent(action: ActionRecord, run: number, at: string): Draft | null {
  const data = {
    resource: action.id,
    op: action.op,
    why: action.why,
    result: action.result,
    error: action.error ?? null,
  };
  if (action.result === 'held') return { at, type: 'hold', run, data };
  if (action.drift) return { at, type: action.result === 'done' ? 'repair' : 'drift', run, data };
  return { at, type: 'change', run, data };
}

function runEvent(run: RunRecord, at: string): Draft {
  const { trigger, sync, reason, message, commit, changed, failed, repaired, durationMs } = run;
  return {
    at,
    type: 'run',
    run: run.id,
    data: { trigger, sync, reason, message, commit: commit?.commit ?? null, changed, failed, repaired, durationMs },
  };
}
