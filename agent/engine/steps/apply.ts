/** Carries out a plan: prepares, records the intent, installs, then applies each step after its predecessors. */
import { setImmediate } from 'node:timers/promises';
import { kindOf } from '../../core/id.ts';
import { rankOf, traitsOf } from '../../core/kind.ts';
import { predecessors, requirements, withNeeded } from '../../core/order/graph.ts';
import type { Step } from '../../core/plan/plan.ts';
import type { Progress } from '../../core/provider.ts';
import type { ActionRecord, ResourceId } from '../../core/types.ts';
import { AgentError, asAgentError } from '../../errors.ts';
import type { Settled } from '../../store/inventory/inventory.ts';
import type { Away, Run } from '../types.ts';
import { createWaiting } from './background.ts';
import { actionRecord, carryOut, carryOutInBackground, joins, waits, workOf } from './carry-out.ts';
import { recordIntent } from './intent.ts';
import { createQueue } from './queue.ts';

export type Failures = Map<ResourceId, AgentError>;

/** Maximum number of steps that run concurrently. */
const WIDTH = 16;
/** Maximum number of steps that are applied in one call, if their kind supports that. */
const TOGETHER = 2_048;

export const isWork = (step: Step): boolean => step.change.op !== 'none' || step.refreshFor.length > 0;
const NONE: ReadonlySet<ResourceId> = new Set();
/** A step that is held, or only observed, is not adopted and owes no restart. */
const isOurs = ({ held, want }: Step): boolean => held === undefined && want.mode !== 'observe';

/** Downloads and verifies what the steps need; disturbs nothing on the host. */
export async function prepare(run: Run, steps: readonly Step[]): Promise<Failures> {
  return batched(run, steps, 'prepare');
}

async function batched(
  { providers, io: { signal, emit } }: Run,
  steps: readonly Step[],
  stage: 'prepare' | 'install',
): Promise<Failures> {
  const failures: Failures = new Map();
  const tell = (progress: Progress) => emit({ type: 'progress', ...progress });
  const byKind = Map.groupBy(
    steps.filter((s) => s.change.op !== 'none'),
    (s) => kindOf(s.want.id),
  );
  await Promise.all(
    [...byKind].map(async ([kind, members]) => {
      const call = providers.get(kind)?.[stage];
      if (call === undefined) return;
      try {
        for (const [id, error] of await call(members.map(workOf), signal, tell)) failures.set(id, error);
      } catch (thrown) {
        const error = asAgentError(thrown, {
          code: 'PrepareFailed',
          phase: stage === 'install' ? 'apply' : 'prepare',
        });
        for (const step of members) failures.set(step.want.id, error);
      }
    }),
  );
  return failures;
}

/** Saves the original of each resource that is adopted for the first time. */
async function adopt(run: Run, steps: readonly Step[]): Promise<Failures> {
  const known = run.store.inventory.index();
  const taken = steps.filter((s) => !known.has(s.want.id) && isOurs(s));
  const failures: Failures = new Map();
  for (const [kind, members] of Map.groupBy(taken, (s) => kindOf(s.want.id)))
    for (const [id, error] of (await run.providers.get(kind)?.adopt?.(members.map(workOf))) ?? [])
      failures.set(id, error);
  return failures;
}

interface ApplyOptions {
  /** Steps that must not start; steps found to be blocked are added. */
  failures: Failures;
  /** Resources that could not be observed: they and everything that waits for them are left alone. */
  away: Away;
  /** Steps whose resource was already stopped for them: a stop of the agent must not leave it stopped. */
  owed?: ReadonlySet<ResourceId>;
}

export interface Applied {
  records: Map<ResourceId, ActionRecord>;
  /**
   * Work that this run does not finish, because a step takes long and another run was requested: that step, and the steps that
   * wait for it.
   */
  left: ReadonlySet<ResourceId>;
}

/** Applies all steps that have work; returns one record for each of them that ended. */
export async function applySteps(
  run: Run,
  steps: readonly Step[],
  { failures, away, owed = NONE }: ApplyOptions,
): Promise<Applied> {
  for (const [id, error] of await adopt(run, steps)) failures.set(id, error);
  const free = steps.filter((s) => !failures.has(s.want.id) && !away.has(s.want.id) && isOurs(s));
  const declared = new Set(steps.filter((s) => s.want.mode !== 'observe').map((s) => s.want.id));
  for (const [id, error] of recordIntent(run, free, declared)) failures.set(id, error);
  const viable = steps.filter((s) => isWork(s) && !failures.has(s.want.id));
  const broken: Failures = new Map(failures);
  // Runs beside the steps of earlier kinds, which install nothing.
  const installed = batched(run, viable, 'install').then((found) => {
    for (const [id, error] of found) broken.set(id, error);
  });

  const records = new Map<ResourceId, ActionRecord>();
  if (viable.length === 0 && !steps.some((s) => isWork(s) && broken.has(s.want.id))) {
    await run.store.inventory.copied();
    return { records, left: NONE };
  }
  run.background.forgetOthers(new Set(viable.map((s) => s.want.id)));
  const failed = new Set<ResourceId>(away.keys());
  const running = new Map<ResourceId, Promise<void>>();
  const waiting = createWaiting(run, running);
  /** Steps that are ready and will be applied in one call. */
  let together: Step[] = [];
  const before = predecessors(steps.map((s) => s.want));
  let needed: ReturnType<typeof requirements> | null = null;
  const ready = createQueue(run.kinds, steps, before);
  const mustGoOn = withNeeds(steps, owed);
  const unstoppable = new AbortController().signal;
  const ledger = createLedger(run);
  let hasLeft = false;

  const finish = (step: Step, record: ActionRecord | null) => {
    if (record !== null) {
      records.set(step.want.id, record);
      if (record.result === 'done') ledger.note(step);
      else failed.add(step.want.id);
      run.io.emit({ type: 'action', action: record });
    }
    ready.finished(step.want.id);
  };

  const start = (steps: readonly Step[]) => {
    const [first] = steps;
    if (first === undefined) return;
    const signal = mustGoOn.has(first.want.id) ? unstoppable : run.io.signal;
    const isLong = waits(run, first.want);
    const work = (isLong ? carryOutInBackground(run, first, signal) : carryOut(run, steps, signal)).then((all) => {
      running.delete(first.want.id);
      waiting.ended(first.want.id);
      // The run has ended without this step; the next run takes the result.
      if (hasLeft) return;
      for (const [i, step] of steps.entries()) finish(step, all[i] ?? null);
      ledger.ended(first.want.id);
    });
    running.set(first.want.id, work);
    if (isLong) waiting.begun(first.want.id);
  };
  const flush = () => {
    start(together);
    together = [];
  };
  /** Enforces the default order: a later kind does not start while steps of an earlier kind run. */
  const atWork = (): number => {
    let lowest = together[0] ? rankOf(run.kinds, together[0].want.id) : Number.POSITIVE_INFINITY;
    for (const id of running.keys()) if (!waiting.isInBackground(id)) lowest = Math.min(lowest, rankOf(run.kinds, id));
    return lowest;
  };

  for (;;) {
    const step = running.size < WIDTH ? ready.next(atWork()) : undefined;
    if (step === undefined) {
      if (together.length > 0) flush();
      else if (running.size === 0) break;
      else if (!waiting.isAll()) await Promise.race([...running.values(), waiting.turned()]);
      else if (!(await waiting.goesOn())) break;
      continue;
    }
    if (run.providers.get(kindOf(step.want.id))?.install) await installed;
    // Requirements are only computed after a failure.
    if (failed.size > 0) needed ??= requirements(steps.map((s) => s.want));
    const culprit = [...(needed?.get(step.want.id) ?? [])].find((id) => failed.has(id));
    const error = broken.get(step.want.id);
    if (!isWork(step)) finish(step, null);
    else if (error !== undefined) finish(step, actionRecord(step, 'failed', 0, error));
    else if (culprit !== undefined) finish(step, actionRecord(step, 'blocked', 0, blockedBy(culprit)));
    else if (run.io.signal.aborted && !mustGoOn.has(step.want.id))
      finish(step, actionRecord(step, 'blocked', 0, stopped()));
    else if (joins(run, step) && !run.io.signal.aborted) {
      if (together[0] && kindOf(together[0].want.id) !== kindOf(step.want.id)) flush();
      together.push(step);
    } else start([step]);
    if (together.length >= TOGETHER) flush();
  }
  hasLeft = running.size > 0;
  run.background.leave(running.keys());
  await installed;
  // Reports the results first, so that listeners do not wait for the store.
  await setImmediate();
  ledger.flush();
  await run.store.inventory.copied();
  const left = hasLeft ? steps.filter((s) => isWork(s) && !records.has(s.want.id)).map((s) => s.want.id) : [];
  return { records, left: new Set(left) };
}

/** The given resources, and all that they need, directly or indirectly. */
function withNeeds(steps: readonly Step[], ids: ReadonlySet<ResourceId>): ReadonlySet<ResourceId> {
  if (ids.size === 0) return ids;
  return withNeeded(ids, requirements(steps.map((s) => s.want)));
}

/**
 * Writes confirmations in batches: one fsync for many. A confirmation that a crash loses is found again by observing the host;
 * until it is written, a difference does not count as drift.
 */
function createLedger({ kinds, store }: Run) {
  const isReobservable = (id: ResourceId) => traitsOf(kinds, id).confirm === 're-observable';
  let noted: Settled[] = [];
  const flush = () => {
    if (noted.length > 0) store.inventory.settle(noted);
    noted = [];
  };
  return {
    flush,
    note: ({ want: { id, hash } }: Step) =>
      void noted.push({ id, hash, notified: true, reobservable: isReobservable(id) }),
    /** All steps of this kind that were started together have ended. */
    ended(id: ResourceId) {
      if (!isReobservable(id)) flush();
    },
  };
}

const blockedBy = (id: ResourceId) =>
  new AgentError({ code: 'DependencyFailed', phase: 'apply', message: `waits for ${id}, which failed` });
const stopped = () =>
  new AgentError({ code: 'Stopped', phase: 'apply', message: 'the agent was stopped before this step' });
