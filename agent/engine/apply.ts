/** Carries out a plan: prepare, record the intent, install, then each step after its predecessors. */
import { kindOf, predecessors, rankOf } from '../core/graph.ts';
import type { Step } from '../core/plan.ts';
import type { Provider, Work } from '../core/provider.ts';
import type { ActionRecord, Kind, Reason, ResourceId } from '../core/types.ts';
import { AgentError, asAgentError } from '../errors.ts';
import type { EngineDeps, RunRequest } from './types.ts';

export type Failures = Map<ResourceId, AgentError>;

/** Steps that run side by side. */
const WIDTH = 8;

export const isWork = (step: Step): boolean => step.change.op !== 'none' || step.refreshFor.length > 0;
const workOf = ({ change, want, seen }: Step): Work => ({ change, want, seen });

/** Pulls and verifies what the steps need; disturbs nothing on the host. */
export async function prepare(deps: EngineDeps, steps: readonly Step[], request: RunRequest): Promise<Failures> {
  return batched(deps.providers, steps, 'prepare', request.signal);
}

async function batched(
  providers: ReadonlyMap<Kind, Provider>,
  steps: readonly Step[],
  stage: 'prepare' | 'install',
  signal: AbortSignal,
): Promise<Failures> {
  const failures: Failures = new Map();
  const byKind = Map.groupBy(
    steps.filter((s) => s.change.op !== 'none'),
    (s) => kindOf(s.want.id),
  );
  await Promise.all(
    [...byKind].map(async ([kind, members]) => {
      const call = providers.get(kind)?.[stage];
      if (call === undefined) return;
      try {
        for (const [id, error] of await call(members.map(workOf), signal)) failures.set(id, error);
      } catch (thrown) {
        const error = asAgentError(thrown, {
          code: 'PrepareFailed',
          phase: stage === 'install' ? 'apply' : 'prepare',
          retry: true,
        });
        for (const step of members) failures.set(step.want.id, error);
      }
    }),
  );
  return failures;
}

/** Intent first: a crash at any later moment must not cost ownership or a notify. */
export function recordIntent(deps: EngineDeps, steps: readonly Step[]): void {
  const known = new Map(deps.store.inventory.list().map((row) => [row.id, row]));
  const changed = steps.filter((s) => {
    const row = known.get(s.want.id);
    return s.change.op !== 'none' || row === undefined || row.hash !== s.want.hash;
  });
  const rows = changed.map(({ want }) => {
    const provider = deps.providers.get(kindOf(want.id));
    return {
      id: want.id,
      hash: want.hash,
      owned: provider?.owns?.(want.spec) ?? true,
      origin: want.origin,
      info: { claims: provider?.claims(want.spec) ?? [] },
    };
  });
  const notifies = steps.flatMap((s) =>
    s.refreshFor.map((source) => ({ target: s.want.id, source, verb: s.refreshVerb })),
  );
  if (rows.length > 0 || notifies.length > 0) deps.store.inventory.intend(rows, notifies);
  for (const { change, want } of changed) if (change.op === 'none') deps.store.inventory.confirm(want.id, want.hash);
}

/** What is taken over for the first time is kept as it was. */
async function adopt(deps: EngineDeps, steps: readonly Step[]): Promise<Failures> {
  const known = new Set(deps.store.inventory.list().map((row) => row.id));
  const taken = steps.filter((s) => !known.has(s.want.id));
  const failures: Failures = new Map();
  for (const [kind, members] of Map.groupBy(taken, (s) => kindOf(s.want.id)))
    for (const [id, error] of (await deps.providers.get(kind)?.adopt?.(members.map(workOf))) ?? [])
      failures.set(id, error);
  return failures;
}

/** Applies all steps that have work; answers one record for each of them. `failures` are steps that must not begin. */
export async function applySteps(
  deps: EngineDeps,
  steps: readonly Step[],
  failures: Failures,
  request: RunRequest,
): Promise<Map<ResourceId, ActionRecord>> {
  for (const [id, error] of await adopt(deps, steps)) failures.set(id, error);
  const viable = steps.filter((s) => isWork(s) && !failures.has(s.want.id));
  recordIntent(
    deps,
    steps.filter((s) => !failures.has(s.want.id)),
  );
  const installFailures = await batched(deps.providers, viable, 'install', request.signal);
  const broken: Failures = new Map([...failures, ...installFailures]);

  const records = new Map<ResourceId, ActionRecord>();
  const unfinished = new Map(steps.map((s) => [s.want.id, s]));
  const failed = new Set<ResourceId>();
  const running = new Map<ResourceId, Promise<void>>();
  const before = predecessors(steps.map((s) => s.want));

  const finish = (step: Step, record: ActionRecord | null) => {
    unfinished.delete(step.want.id);
    if (record === null) return;
    records.set(step.want.id, record);
    if (record.result !== 'done') failed.add(step.want.id);
    request.emit({ type: 'action', action: record });
  };

  while (unfinished.size > 0) {
    const waiting = [...unfinished.values()].filter((s) => !running.has(s.want.id));
    const free = waiting.filter((s) => [...(before.get(s.want.id) ?? [])].every((id) => !unfinished.has(id)));
    // The default order: a later kind does not begin while an earlier kind that is free to go is still at work.
    const lowest = Math.min(...[...free.map((s) => s.want.id), ...running.keys()].map(rankOf));
    for (const step of free.filter((s) => rankOf(s.want.id) === lowest)) {
      if (running.size >= WIDTH) break;
      const culprit = [...(before.get(step.want.id) ?? [])].find((id) => failed.has(id));
      const error = broken.get(step.want.id);
      if (!isWork(step) && error === undefined) finish(step, null);
      else if (error !== undefined) finish(step, record(step, 'failed', 0, error));
      else if (culprit !== undefined) finish(step, record(step, 'blocked', 0, blockedBy(culprit)));
      else if (request.signal.aborted) finish(step, record(step, 'blocked', 0, stopped()));
      else {
        const work = carryOut(deps, step, request.signal).then((r) => {
          running.delete(step.want.id);
          finish(step, r);
        });
        running.set(step.want.id, work);
      }
    }
    if (running.size > 0) await Promise.race(running.values());
  }
  return records;
}

/** One step: apply, confirm, then the restarts it was notified of. */
async function carryOut(deps: EngineDeps, step: Step, signal: AbortSignal): Promise<ActionRecord> {
  const { want, change, refreshFor } = step;
  const provider = deps.providers.get(kindOf(want.id));
  const began = deps.clock.now().getTime();
  const took = () => deps.clock.now().getTime() - began;
  const notes: Reason[] = [];
  const report = (note: Reason) => void notes.push(note);
  try {
    if (change.op !== 'none') {
      await provider?.apply({ ...workOf(step), report }, signal);
      deps.store.inventory.confirm(want.id, want.hash);
    }
    if (refreshFor.length > 0) await provider?.refresh?.(want, signal, step.refreshVerb, report);
    deps.store.inventory.notifyDone(want.id);
    return record(step, 'done', took(), undefined, notes);
  } catch (thrown) {
    const error = asAgentError(thrown, { code: 'ApplyFailed', phase: 'apply', resource: want.id });
    deps.log.error({ resource: want.id, code: error.code }, error.message);
    return record(step, 'failed', took(), error, notes);
  }
}

function record(
  step: Step,
  result: ActionRecord['result'],
  durationMs: number,
  error?: AgentError,
  notes: readonly Reason[] = [],
): ActionRecord {
  const { want, change, drift, refreshFor } = step;
  const refresh = change.op === 'none';
  return {
    id: want.id,
    op: refresh && refreshFor.length > 0 ? 'refresh' : change.op,
    why: [...(refresh ? refreshFor.map((id) => ({ field: 'notify', to: id })) : change.why), ...notes],
    result,
    drift,
    durationMs,
    ...(error ? { error: { code: error.code, message: error.message } } : {}),
  };
}

const blockedBy = (id: ResourceId) =>
  new AgentError({ code: 'DependencyFailed', phase: 'apply', message: `waits for ${id}, which failed`, retry: true });
const stopped = () =>
  new AgentError({ code: 'Stopped', phase: 'apply', message: 'the agent was stopped before this step', retry: true });
