/** Records and health → the state of each resource, and of the run as a whole. Pure. */
import type { ReasonCode } from '../../../manifests-schema/reasons.ts';
import { plannedActions, type Step } from '../../core/plan/plan.ts';
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
import type { AgentError } from '../../errors.ts';
import { isWork } from '../steps/apply.ts';
import type { Outcome, Planned } from '../types.ts';
import { warningsOf } from './unapplied.ts';
import { type Blame, weighRun } from './weigh.ts';

export interface JudgeInput {
  checkout: Checkout;
  planned: Planned;
  blame: Blame;
  records: readonly ActionRecord[];
  /** Health of everything that was observed, before anything was done. */
  health: ReadonlyMap<ResourceId, Health>;
  /** Health of everything that was changed, by this run or by an earlier one that did not see it become well. */
  settled: ReadonlyMap<ResourceId, Health>;
  /** Resources that could not even be prepared, so they are as before. */
  untouched: ReadonlySet<ResourceId>;
  /** The run was stopped, or gave way to another run. */
  stopped: boolean;
  /** A planned action was not started, or its result is unknown; then nothing counts as well yet. */
  unfinished: boolean;
  /** Evidence against the commit although everything that it changed is well. */
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
  const { loaded, plan, away, gate } = planned;
  const records = input.records.map((r) => failUnsettled(r, settled.get(r.id)));
  const byId = new Map(records.map((r) => [r.id, r]));
  const judged = plan.steps.map((step): Judged => {
    const error = away.get(step.want.id);
    if (error) return outOfReach(step, error);
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
    ...plan.removals.flatMap(({ id }) => awayProblem(id, away.get(id)) ?? []),
  ];
  const problems = [
    ...(input.proof ? [input.proof] : []),
    ...judged.flatMap((j) => (j.problem ? [j.problem] : [])),
    ...removals,
  ];
  const waiting = gate === null ? [] : plannedActions(plan, gate.reason).filter((a) => !away.has(a.id));
  // A resource is managed as long as its removal waits.
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

/** A successful action counts as failed if its resource then did not become well. */
function failUnsettled(record: ActionRecord, health: Health | undefined): ActionRecord {
  if (record.result !== 'done' || health?.state !== 'bad') return record;
  return { ...record, result: 'failed', error: { code: health.code ?? 'Unhealthy', message: health.message } };
}

function outOfReach({ want: { id, origin } }: Step, { code, message }: AgentError): Judged {
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
      // `health` is about what runs now: an image that cannot be pulled does not affect it, and neither does another resource's
      // failure.
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
    // A resource that was never applied does not exist yet: nothing that runs is affected.
    const isToCome = (step.held?.change ?? step.change).op === 'create' && !step.drift;
    // A resource that differs only from a waiting commit is as the previous commit made it.
    const isAsBefore = step.held === undefined && !step.drift && health.differs === true;
    const ofWhatRuns = isAsBefore ? 'healthy' : state;
    return { status: { id, sync: 'held', health: isToCome ? 'unknown' : ofWhatRuns, reason }, problem: null };
  }
  const bad = health.state === 'bad';
  const unwell = health.code ?? 'Unhealthy';
  // It was changed, and either is not known to be well yet, or did not become well, which is reported until it does.
  const isOpen = health.state === 'wait' && (record !== undefined || unproven);
  const sync = isOpen ? 'progressing' : bad && unproven ? 'failed' : 'synced';
  const told = bad ? { code: unwell, message: health.message } : health.note;
  return {
    status: { id, sync, health: state, reason: told?.code ?? '' },
    problem: told ? { id, reason: told.code, message: told.message, ...at, turn: blame(id, told.code) } : null,
  };
}

/** Nothing was done to it; the health of what does not exist yet is unknown. */
const healthOfBlocked = ({ seen }: Step, { state }: Health): HealthState =>
  seen === undefined ? 'unknown' : HEALTH[state];

const awayProblem = (id: ResourceId, error: AgentError | undefined): Problem | null =>
  error === undefined
    ? null
    : { id, reason: error.code, message: `its removal waits: ${error.message}`, file: null, line: null };

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
