/** Records and health → what each resource, and the run as a whole, came to. Pure. */
import type { ReasonCode } from '../../../manifests-schema/reasons.ts';
import { kindOf } from '../../core/id.ts';
import { plannedActions, type Step } from '../../core/plan.ts';
import type { Health } from '../../core/provider.ts';
import type {
  ActionRecord,
  Checkout,
  Gate,
  HealthState,
  Problem,
  ResourceId,
  ResourceStatus,
} from '../../core/types.ts';
import { isWork } from '../steps/apply.ts';
import type { Outcome, Planned } from '../types.ts';
import { warningsOf } from './unapplied.ts';
import { type Blame, weighRun } from './weigh.ts';

export interface JudgeInput {
  checkout: Checkout;
  planned: Planned;
  blame: Blame;
  records: readonly ActionRecord[];
  /** Of all that was observed, before anything was done. */
  health: ReadonlyMap<ResourceId, Health>;
  /** Of what was changed, now or by an earlier run that did not see it well. */
  settled: ReadonlyMap<ResourceId, Health>;
  /** What could not even be prepared: it is as it was before. */
  untouched: ReadonlySet<ResourceId>;
  /** The run was told to end, or to make way. */
  stopped: boolean;
  /** Something that was planned was not even begun, or it is not known what it came to: then nothing is well yet. */
  unfinished: boolean;
  /** What speaks against the commit although all that it changed is well. */
  proof: Problem | null;
}

const OK: Health = { state: 'ok', message: '' };

interface Judged {
  status: ResourceStatus;
  problem: Problem | null;
}

const HEALTH: Record<Health['state'], HealthState> = { ok: 'healthy', wait: 'progressing', bad: 'degraded' };
const GATED: Record<Gate['kind'], ReasonCode> = {
  observe: 'Observing',
  prune: 'PruneLimit',
  pause: 'Paused',
  window: 'WindowClosed',
  pin: 'Pinned',
  review: 'Held',
  upgrade: 'AgentUpgrading',
};

export function judge(input: JudgeInput): Outcome {
  const { checkout, planned, settled } = input;
  const { loaded, plan, observed, gate } = planned;
  const records = input.records.map((r) => failUnsettled(r, settled.get(r.id)));
  const byId = new Map(records.map((r) => [r.id, r]));
  const judged = plan.steps.map((step): Judged => {
    const unreachable = observed.unreachable.get(kindOf(step.want.id));
    if (unreachable) return outOfReach(step, unreachable.code, unreachable.message);
    const health = settled.get(step.want.id) ?? input.health.get(step.want.id) ?? OK;
    const record = byId.get(step.want.id);
    const { id } = step.want;
    return judgeStep(step, record, health, {
      held: gate !== null,
      untouched: input.untouched.has(id),
      unproven: settled.has(id),
      blame: input.blame,
    });
  });
  const removals = [
    ...records.filter((r) => r.op === 'remove' && r.result === 'failed').map((r) => recordProblem(r, input.blame)),
    ...plan.removals.filter((r) => planned.away.has(r.id)).map((r) => awayProblem(r.id, planned)),
  ];
  const problems = [
    ...(input.proof ? [input.proof] : []),
    ...judged.flatMap((j) => (j.problem ? [j.problem] : [])),
    ...removals,
  ];
  const waiting = gate === null ? [] : plannedActions(plan, gate.reason).filter((a) => !planned.away.has(a.id));
  // What is to go is still managed as long as that waits.
  const heldRemovals = waiting.flatMap(({ id, op }): ResourceStatus[] =>
    op === 'remove' ? [{ id, sync: 'held', health: 'unknown', reason: 'Held' }] : [],
  );
  const holds = gate !== null && waiting.length > 0;
  const apart = gate === null ? plan.steps.flatMap((s) => (s.held ? [{ id: s.want.id, ...s.held }] : [])) : [];
  const first = problems[0];
  const verdict = verdictOf(input, records);
  return {
    rejected: false,
    commit: checkout.info,
    mode: loaded.host.mode,
    labels: loaded.labels,
    gate: gate && (holds || gate.kind === 'pause') ? gate : null,
    verdict,
    converged: verdict === 'well' || verdict === 'partly' ? checkout.info : null,
    actions: [
      ...records,
      ...waiting.map(heldRecord),
      ...apart.map(({ id, change }) => heldRecord({ id, op: change.op, why: change.why })),
    ],
    resources: [...judged.map((j) => j.status), ...heldRemovals],
    problems,
    warnings: warningsOf(loaded),
    hostStates: [
      ...(holds || apart.length > 0 ? (['held'] as const) : []),
      ...(removals.length > 0 || input.proof ? (['failed'] as const) : []),
    ],
    reason: holds ? GATED[gate.kind] : (first?.reason ?? apart[0]?.code ?? ''),
    message: holds ? gate.reason : first ? `${first.id}: ${first.message}` : (apart[0]?.reason ?? ''),
  };
}

function verdictOf(input: JudgeInput, records: readonly ActionRecord[]): Outcome['verdict'] {
  const { planned, proof } = input;
  if (planned.gate !== null) return 'untouched';
  if (proof !== null) return 'unwell';
  return weighRun({ ...input, records, away: planned.away });
}

/** An action that went through, of a resource that then did not become well, has failed. */
function failUnsettled(record: ActionRecord, health: Health | undefined): ActionRecord {
  if (record.result !== 'done' || health?.state !== 'bad') return record;
  return { ...record, result: 'failed', error: { code: health.code ?? 'Unhealthy', message: health.message } };
}

function outOfReach({ want: { id, origin } }: Step, code: ReasonCode, message: string): Judged {
  return {
    status: { id, sync: 'failed', health: 'unknown', reason: code },
    problem: { id, reason: code, message, file: origin.file, line: origin.line },
  };
}

function judgeStep(
  step: Step,
  record: ActionRecord | undefined,
  health: Health,
  { held, untouched, unproven, blame }: { held: boolean; untouched: boolean; unproven: boolean; blame: Blame },
): Judged {
  const { id, origin } = step.want;
  const at = { file: origin.file, line: origin.line };
  if (record?.error) {
    const { code, message } = record.error;
    const status: ResourceStatus = {
      id,
      sync: 'failed',
      // Health is of what runs: an image that cannot be pulled takes nothing from it, and neither does something else that failed.
      health:
        code === 'DependencyFailed' ? healthOfBlocked(step, health) : untouched ? HEALTH[health.state] : 'degraded',
      reason: code,
    };
    return {
      status,
      problem: { id, reason: code, message, ...at, turn: blame(id, code, record.op), ...untilOf(record) },
    };
  }
  const state = HEALTH[health.state];
  const reason = step.held?.code ?? (held && isWork(step) ? 'Held' : null);
  if (reason !== null) {
    // What was never applied is not there yet: nothing that runs is worse for it.
    const isToCome = (step.held?.change ?? step.change).op === 'create' && !step.drift;
    return { status: { id, sync: 'held', health: isToCome ? 'unknown' : state, reason }, problem: null };
  }
  const bad = health.state === 'bad';
  const unwell = health.code ?? 'Unhealthy';
  // It was changed, and whether it becomes well is not known yet; or it did not, which stays said until it does.
  const isOpen = health.state === 'wait' && (record !== undefined || unproven);
  const sync = isOpen ? 'progressing' : bad && unproven ? 'failed' : 'synced';
  const told = bad ? { code: unwell, message: health.message } : health.note;
  return {
    status: { id, sync, health: state, reason: told?.code ?? '' },
    problem: told ? { id, reason: told.code, message: told.message, ...at, turn: blame(id, told.code) } : null,
  };
}

/** It was not touched; of what is not there yet nothing can be said. */
const healthOfBlocked = ({ seen }: Step, { state }: Health): HealthState =>
  seen === undefined ? 'unknown' : HEALTH[state];

const awayProblem = (id: ResourceId, { observed }: Planned): Problem => {
  const error = observed.unreachable.get(kindOf(id));
  const message = `is to be removed, and waits: ${error?.message ?? ''}`;
  return { id, reason: error?.code ?? 'ObserveFailed', message, file: null, line: null };
};

const untilOf = ({ until }: ActionRecord): Pick<Problem, 'until'> => (until === undefined ? {} : { until });

const recordProblem = (record: ActionRecord, blame: Blame): Problem => ({
  turn: blame(record.id, record.error?.code ?? 'RemoveFailed', record.op),
  id: record.id,
  reason: record.error?.code ?? 'RemoveFailed',
  message: record.error?.message ?? '',
  file: null,
  line: null,
});

const heldRecord = ({ id, op, why }: Pick<ActionRecord, 'id' | 'op' | 'why'>): ActionRecord => ({
  id,
  op,
  why,
  result: 'held',
  drift: false,
  durationMs: 0,
});
