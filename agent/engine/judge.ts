/** Records and health → what each resource, and the run as a whole, came to. Pure. */
import { kindOf } from '../core/graph.ts';
import { type Plan, plannedActions, type Step } from '../core/plan.ts';
import type { Health } from '../core/provider.ts';
import type { ActionRecord, Checkout, HealthState, Problem, ResourceId, ResourceStatus } from '../core/types.ts';
import { isWork } from './apply.ts';
import type { Observed } from './observe.ts';
import type { Loaded, Outcome } from './types.ts';

export interface JudgeInput {
  checkout: Checkout;
  loaded: Loaded;
  observed: Observed;
  plan: Plan;
  held: string | null;
  records: readonly ActionRecord[];
  health: ReadonlyMap<ResourceId, Health>;
}

const HEALTH: Record<Health['state'], HealthState> = { ok: 'healthy', wait: 'progressing', bad: 'degraded' };

/** @param input.health of every resource: settled for what was changed, as observed for the rest */
export function judge(input: JudgeInput): Outcome {
  const { checkout, loaded, observed, plan, held } = input;
  const records = input.records.map((r) => failUnsettled(r, input.health.get(r.id)));
  const byId = new Map(records.map((r) => [r.id, r]));
  const judged = plan.steps.map((step) => {
    const away = observed.unreachable.get(kindOf(step.want.id));
    const health: Health = away
      ? { state: 'wait', message: away.message }
      : (input.health.get(step.want.id) ?? { state: 'ok', message: '' });
    return judgeStep(step, byId.get(step.want.id), health, held !== null, away?.code);
  });
  const heldActions = held === null ? [] : plannedActions(plan);
  const removals = records.filter((r) => r.op === 'remove' && r.result === 'failed').map(recordProblem);
  const problems = [...judged.flatMap((j) => (j.problem ? [j.problem] : [])), ...removals];
  const first = problems[0];
  const holds = held !== null && heldActions.length > 0;
  return {
    rejected: false,
    commit: checkout.info,
    mode: loaded.host.mode,
    labels: loaded.labels,
    actions: [...records, ...(holds ? heldActions.map(heldRecord) : [])],
    resources: judged.map((j) => j.status),
    problems,
    whole: [...(holds ? (['held'] as const) : []), ...(removals.length > 0 ? (['failed'] as const) : [])],
    reason: holds ? (loaded.host.mode === 'observe' ? 'Observing' : 'PruneLimit') : (first?.reason ?? ''),
    message: holds ? (held ?? '') : first ? `${first.id}: ${first.message}` : '',
  };
}

/** An action that went through, of a resource that then did not become well, has failed. */
function failUnsettled(record: ActionRecord, health: Health | undefined): ActionRecord {
  if (record.result !== 'done' || health?.state !== 'bad') return record;
  return { ...record, result: 'failed', error: { code: 'Unhealthy', message: health.message } };
}

function judgeStep(
  step: Step,
  record: ActionRecord | undefined,
  health: Health,
  held: boolean,
  unreachable: string | undefined,
): { status: ResourceStatus; problem: Problem | null } {
  const { id, origin } = step.want;
  const at = { file: origin.file, line: origin.line };
  if (unreachable) {
    const status: ResourceStatus = { id, sync: 'failed', health: 'unknown', reason: unreachable };
    return { status, problem: { id, reason: unreachable, message: health.message, ...at } };
  }
  if (record?.error) {
    const status: ResourceStatus = {
      id,
      sync: 'failed',
      health: record.error.code === 'DependencyFailed' ? 'unknown' : 'degraded',
      reason: record.error.code,
    };
    return { status, problem: { id, reason: record.error.code, message: record.error.message, ...at } };
  }
  if (held && isWork(step))
    return { status: { id, sync: 'held', health: HEALTH[health.state], reason: 'Held' }, problem: null };
  const status: ResourceStatus = {
    id,
    sync: 'synced',
    health: HEALTH[health.state],
    reason: health.state === 'bad' ? 'Unhealthy' : '',
  };
  return {
    status,
    problem: health.state === 'bad' ? { id, reason: 'Unhealthy', message: health.message, ...at } : null,
  };
}

const recordProblem = (record: ActionRecord): Problem => ({
  id: record.id,
  reason: record.error?.code ?? 'RemoveFailed',
  message: record.error?.message ?? '',
  file: null,
  line: null,
});

const heldRecord = ({
  id,
  op,
  why,
}: {
  id: ResourceId;
  op: ActionRecord['op'];
  why: ActionRecord['why'];
}): ActionRecord => ({
  id,
  op,
  why,
  result: 'held',
  drift: false,
  durationMs: 0,
});
