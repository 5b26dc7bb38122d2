/** The end of a run: the run, its actions and its events go into the store in one transaction. */

import { syncOf } from '../../../core/plan/verdict.ts';
import type { ActionRecord, AgentEvent, ResourceId, RunRecord } from '../../../core/types.ts';
import type { FactValues } from '../../../store/facts.ts';
import type { EngineDeps, Outcome } from '../../types.ts';
import { actionEvent, type LiveEvents } from './live-events.ts';

type Draft = Omit<AgentEvent, 'id' | 'seq'>;

/** @param looked the resources that the run was about; null for all @param live the events that were reported during the run */
export function recordRun(
  deps: EngineDeps,
  run: Pick<RunRecord, 'id' | 'trigger' | 'startedAt' | 'durationMs' | 'command'>,
  outcome: Outcome,
  looked: ReadonlySet<ResourceId> | null = null,
  live: LiveEvents | null = null,
): RunRecord {
  const done = outcome.actions.filter((a) => a.result === 'done');
  const finished: RunRecord = {
    ...run,
    sync: syncOf(outcome.resources, outcome.hostStates),
    reason: outcome.reason,
    message: outcome.message,
    commit: outcome.commit,
    changed: done.length,
    failed: outcome.actions.filter((a) => a.result === 'failed' || a.result === 'blocked').length,
    repaired: done.filter((a) => a.drift).length,
  };
  const previous = deps.store.runs.newest() ?? undefined;
  const at = deps.clock.now().toISOString();
  const { news, standing } = onlyNews(deps, outcome.actions, looked);
  const before = live?.end();
  const unreported = news.filter((a) => before?.wasReported(a) !== true);
  const events = [...(before?.waiting ?? []), ...unreported.map((a) => actionEvent(a, run.id, at))];
  if (outcome.rollback)
    events.push({
      at,
      type: 'rollback',
      run: run.id,
      data: { ...outcome.rollback, reason: finished.reason, message: finished.message },
    });
  if (worthTelling(finished, previous)) events.push(runEvent(finished, at));
  deps.store.runs.finish(finished, news, events, { ...standing, ...applied(deps, outcome, { at, run: run.id }) });
  return finished;
}

/** The facts to store about the commit under which all is well, if it is another one than before. */
function applied(
  { store }: EngineDeps,
  { converged }: Outcome,
  when: { at: string; run: number },
): Partial<Pick<FactValues, 'applied' | 'appliedContent'>> {
  if (converged === null) return {};
  const { commit, content } = converged;
  const before = store.facts.get('applied');
  // A commit that changes nothing for this host was seen, not applied.
  const isSame = content !== undefined && store.facts.get('appliedContent') === content;
  if (before !== undefined && (before.commit === commit || isSame)) return {};
  return { applied: { commit, ...when }, appliedContent: content ?? null };
}

/**
 * Filters the news, and returns the facts that go with it. Successful actions are always news. A failed or held action is
 * reported once, and again when it changes: a wait of days must fill neither the history nor the outbox.
 */
function onlyNews(
  { store }: EngineDeps,
  actions: readonly ActionRecord[],
  looked: ReadonlySet<ResourceId> | null,
): { news: ActionRecord[]; standing: Partial<Pick<FactValues, 'standing'>> } {
  const keyOf = (a: ActionRecord) => JSON.stringify([a.id, a.op, a.result, a.error ?? null, a.why]);
  const before = new Set(store.facts.get('standing') ?? []);
  const others = looked === null ? [] : [...before].filter((key) => !looked.has(JSON.parse(key)[0]));
  const standing = [...others, ...actions.filter((a) => a.result !== 'done').map(keyOf)];
  const isOther = standing.length !== before.size || standing.some((key) => !before.has(key));
  return {
    news: actions.filter((a) => a.result === 'done' || !before.has(keyOf(a))),
    standing: isOther ? { standing } : {},
  };
}

/** Whether a run is worth an event: not if it had nothing to do and found nothing new. */
function worthTelling(run: RunRecord, previous: RunRecord | undefined): boolean {
  return (
    run.changed > 0 ||
    previous === undefined ||
    previous.failed !== run.failed ||
    previous.sync !== run.sync ||
    previous.reason !== run.reason ||
    previous.commit?.commit !== run.commit?.commit
  );
}

export function runEvent(run: RunRecord, at: string): Draft {
  const { trigger, sync, reason, message, commit, changed, failed, repaired, durationMs } = run;
  return {
    at,
    type: 'run',
    run: run.id,
    data: {
      ...{ trigger, sync, reason, message, commit: commit?.commit ?? null, changed, failed, repaired, durationMs },
      ...(run.command ? { command: run.command } : {}),
    },
  };
}
