/** Converges the host to one commit: load, observe, plan, gate, prepare, apply, settle, prune. */

import { kindOf } from '../../core/id.ts';
import { traitsOf } from '../../core/kind.ts';
import { requirements } from '../../core/order/graph.ts';
import type { Step } from '../../core/plan/plan.ts';
import type { Health } from '../../core/provider.ts';
import type { Desired, Gate, Problem, ResourceId } from '../../core/types.ts';
import { type JudgeInput, judge } from '../decide/judge.ts';
import type { Mode } from '../decide/mode.ts';
import { issueProblem, rejected, stepProblem, unassigned } from '../decide/unapplied.ts';
import { createBlame, faultsOf, weighRun } from '../decide/weigh.ts';
import { applySteps, type Failures, isWork, prepare } from '../steps/apply.ts';
import { withSeenEffects } from '../steps/effects.ts';
import { lookAgain } from '../steps/look-again.ts';
import { earlyRemovals, prune } from '../steps/prune.ts';
import { release } from '../steps/release.ts';
import { notRenewed, renew } from '../steps/renew.ts';
import { concludeSettled, settle } from '../steps/settle.ts';
import { recordRemovals } from '../steps/tidy.ts';
import { beginTrial } from '../steps/trial.ts';
import type { Away, Loaded, Outcome, Planned, Run } from '../types.ts';
import type { Reviewed } from './guards/door.ts';
import { backedOff, beginPatience, noteFailures, settleTimes } from './patience.ts';
import { converges, NONE, planFor, skipsRollback } from './plan-for.ts';
import { isOwnMistake, replacedBy, unwellBeforeTrial } from './records/evidence.ts';

/** Conditions for a new commit besides the health of its own resources. */
interface Trial {
  /** Resolves with the names of the endpoints that were reachable before; nothing is changed earlier. */
  ready: Promise<readonly string[]>;
  /** Resources that were unwell before an earlier trial that did not end; null if there was none. */
  unwellBeforeTrial: readonly ResourceId[] | null;
  applied(): void;
  /**
   * Called when everything that was changed is well.
   * @param moved the host changed after `applied`
   * @returns the evidence against the commit; null if there is none; `unknown` if the agent was stopped before that was known
   */
  prove(moved: boolean): Promise<Problem | null | 'unknown'>;
}

const NO_TRIAL: Trial = {
  ready: Promise.resolve([]),
  unwellBeforeTrial: null,
  applied: () => undefined,
  prove: async () => null,
};

interface ConvergeOptions {
  checkout: Reviewed;
  mode: Mode;
  /** A gate that is already closed: then nothing is changed. */
  gate: Gate | null;
  trial?: Trial;
  /** Jobs that ran at an earlier try of this commit: they count as done. */
  alreadyRan?: ReadonlySet<ResourceId>;
  /** Resources that keep the state which a rolled-back commit gave them. */
  keeps?: ReadonlySet<ResourceId>;
}

/** All stages for one commit. */
export async function converge(run: Run, options: ConvergeOptions): Promise<Outcome> {
  const { checkout, mode, gate } = options;
  const loaded = await run.load(checkout);
  const errors = loaded.issues.filter((i) => i.severity === 'error');
  if (errors.length > 0) {
    const problems = errors.map(issueProblem);
    return rejected({ checkout, loaded, problems, isNew: mode.isNew });
  }
  if (!converges(checkout, loaded)) return unassigned(checkout, loaded);

  // A trial that continues passed the gate when it began.
  const begun = run.store.commits.get().trial === checkout.info.commit;
  // Its files are written while it is planned: most likely it is tried, and then they must be durable first.
  const saved = mode.isNew && !begun && gate === null ? run.snapshots.save(checkout) : Promise.resolve();
  try {
    return await convergeLoaded(run, loaded, { ...options, begun, saved });
  } finally {
    await saved.catch(() => undefined);
  }
}

interface LoadedOptions extends ConvergeOptions {
  /** An earlier run began this commit. */
  begun: boolean;
  /** Resolves when its files are durable; rejects with AgentError `StateUnwritable`. */
  saved: Promise<void>;
}

async function convergeLoaded(run: Run, loaded: Loaded, options: LoadedOptions): Promise<Outcome> {
  const { checkout, mode, gate: given, trial = NO_TRIAL, alreadyRan = NONE, keeps = NONE, begun, saved } = options;
  saved.catch(() => undefined);
  if (run.asked.trigger === 'manual') run.backoff.clear();
  if (mode.isNew) run.backoff.trying(checkout.info.commit);
  run.io.emit({ type: 'phase', phase: 'plan' });
  const renews = given === null && mode.renews;
  const stale: Failures = renews ? await renew(run, loaded, { isNew: mode.isNew }) : new Map();
  const countsRemovals = mode.isNew && !begun;
  const planned = await planFor(run, loaded, { given, mode, countsRemovals, alreadyRan, keeps });
  const { plan, away, gate } = planned;
  const health = healthNow(run, planned);
  const blameNow = () => createBlame(loaded.resources, new Set(run.store.facts.get('unwellBeforeTrial') ?? []));
  const judgeUntouched = (how: Pick<JudgeInput, 'untouched' | 'stopped' | 'unfinished'>): Outcome =>
    judge({ checkout, planned, blame: blameNow(), records: [], health, settled: new Map(), proof: null, ...how });
  if (gate !== null || !mode.acts) return judgeUntouched({ untouched: new Set(), stopped: false, unfinished: false });

  const work = plan.steps.filter(isWork);
  if (work.length > 0) run.io.emit({ type: 'phase', phase: 'prepare' });
  const held = backedOff(run, work);
  const able = work.filter((s) => !held.has(s.want.id));
  const failures: Failures = new Map([...(mode.isNew ? stale : []), ...held, ...(await prepare(run, able))]);
  const wrong = work.filter((s) => isOwnMistake(failures.get(s.want.id)));
  if (wrong.length > 0 && mode.isNew && !begun)
    return rejected({
      checkout,
      loaded,
      problems: wrong.map((s) => stepProblem(s, failures.get(s.want.id))),
      isNew: mode.isNew,
    });
  const removals = plan.removals.filter((r) => !away.has(r.id));
  const isFresh = mode.isNew && !begun && work.length + removals.length > 0;
  const [endpoints] = await Promise.all([trial.ready, isFresh ? saved : null]);
  // Aborted probes prove nothing, and an agent that stops starts nothing new.
  if (run.io.signal.aborted)
    return judgeUntouched({
      untouched: new Set(failures.keys()),
      stopped: true,
      unfinished: work.length + removals.length > 0,
    });
  if (isFresh)
    beginTrial(
      run,
      checkout,
      endpoints,
      unwellBeforeTrial(run, loaded.content(), plan, health, trial.unwellBeforeTrial),
    );
  const blame = blameNow();
  if (mode.isNew) noteJobs(run, work);
  recordRemovals(
    run,
    [...work.map((s) => s.want), ...removals].map(({ id }) => id),
  );

  if (work.length + removals.length > 0) run.io.emit({ type: 'phase', phase: 'apply' });
  const doomed = doomedBy(failures, away, plan.steps);
  const early = earlyRemovals(removals, doomed);
  const free = plan.steps.filter((s) => !keeps.has(s.want.id));
  const open = unsettled(run, free, work);
  beginPatience(run, work);
  const released = await prune(run, early);
  const { steps, released: owed } = await release(run, plan.steps, doomed);
  const applied = await applySteps(run, steps, { failures, away, owed });
  noteFailures(run, plan.steps, applied.records, failures);
  let records = [...applied.records.values(), ...notRenewed(run, plan, stale)];
  confirmRan(run, plan.steps, alreadyRan);
  if (!mode.runsJobs) forgetOwed(run, plan.steps);
  trial.applied();
  const waiting = open(records).filter(({ id }) => !applied.left.has(id));
  const settled = await settle(run, waiting, {
    givesWay: mode.givesWay,
    settle: settleTimes(loaded),
    isOutage: applied.left.size > 0 || faultsOf({ records, blame, away }).includes('wait'),
    decides: (id, { code }) => mode.isNew && blame(id, code ?? 'Unhealthy') === 'commit',
  });
  await concludeSettled(run, waiting, settled.health, { isNew: mode.isNew });
  records = await withSeenEffects(run, plan.steps, records, settled.health);
  for (const id of applied.left)
    settled.health.set(id, { state: 'wait', message: 'is still running, or waits for a resource that is' });
  let stopped = run.io.signal.aborted || settled.brokenOff || applied.left.size > 0;
  keepUnsettled(run, settled.health);
  await lookAgain(run, plan.steps, records, health);
  const so = weighRun({ blame, records, settled: settled.health, away, stopped, unfinished: false });
  // Nothing is removed for good before everything else has proved itself.
  const isProven = so === 'well' || so === 'partly';
  const hasChanged = begun || records.length + released.length > 0;
  let proof = isProven && hasChanged ? await trial.prove(settled.paused) : null;
  const later = removals.filter((r) => !early.includes(r));
  const kept = replacedBy(records, later);
  const pruned =
    isProven && proof === null
      ? await prune(
          run,
          later.filter((r) => !kept.has(r.id)),
        )
      : [];
  if (pruned.length > 0) proof = await trial.prove(true);
  stopped ||= run.io.signal.aborted;
  const removed = new Set([...kept, ...[...released, ...pruned].map((r) => r.id)]);
  const unfinished = proof === 'unknown' || removals.some((r) => r.seen !== undefined && !removed.has(r.id));
  return judge({
    checkout,
    planned,
    blame,
    records: [...released, ...records, ...pruned],
    health,
    settled: settled.health,
    untouched: new Set([...failures.keys(), ...stale.keys()]),
    stopped,
    unfinished,
    proof: proof === 'unknown' ? null : proof,
  });
}

/** A job that counts as done owes no run to what changed with it. */
function confirmRan({ store }: Run, steps: readonly Step[], alreadyRan: ReadonlySet<ResourceId>): void {
  const done = steps.filter((s) => alreadyRan.has(s.want.id));
  if (done.length > 0)
    store.inventory.settle(done.map(({ want: { id, hash } }) => ({ id, hash, notified: true, reobservable: false })));
}

/** Recorded before the apply, so that the jobs that ran are known however the trial is interrupted. */
function noteJobs({ kinds, store }: Run, work: readonly Step[]): void {
  const before = store.facts.get('trialJobs') ?? [];
  const jobs = work.map((s) => s.want.id).filter((id) => traitsOf(kinds, id).observing === 'runs something');
  const all = new Set([...before, ...jobs]);
  if (all.size > before.length) store.facts.set({ trialJobs: [...all] });
}

/** A rollback changes inputs of jobs that it does not run, so they must not run for that later, either. */
function forgetOwed({ kinds, store }: Run, steps: readonly Step[]): void {
  const owing = new Set(store.inventory.pendingNotifies().map((n) => n.target));
  for (const { want } of steps)
    if (owing.has(want.id) && skipsRollback(kinds, want)) store.inventory.notifyDone(want.id);
}

/**
 * The resources that have to settle: everything that was changed now, then every check, and changes of earlier runs that were
 * not seen to become well. Recorded before the apply, so that neither a crash nor a retry takes an unproven change for a good
 * one.
 */
function unsettled(run: Run, steps: readonly Step[], work: readonly Step[]) {
  const before = run.store.facts.get('unsettled') ?? [];
  const ids = new Set([...before, ...work.map((s) => s.want.id)]);
  if (work.length > 0) run.store.facts.set({ unsettled: [...ids] });
  return (records: readonly { id: ResourceId; result: string }[]): Desired[] => {
    const failed = new Set(records.filter((r) => r.result !== 'done').map((r) => r.id));
    const isOpen = (s: Step) =>
      (ids.has(s.want.id) && !failed.has(s.want.id)) || (ids.size > 0 && traitsOf(run.kinds, s.want.id).judgesEveryRun);
    return steps.filter(isOpen).map((s) => s.want);
  };
}

function keepUnsettled({ store }: Run, settled: ReadonlyMap<ResourceId, Health>): void {
  const before = store.facts.get('unsettled') ?? [];
  const left = before.filter((id) => settled.has(id) && settled.get(id)?.state !== 'ok');
  // If this write is lost, the resource is only observed once more.
  if (left.length !== before.length) store.facts.set({ unsettled: left });
}

/** Steps that cannot succeed in this run: they, or what they wait for, failed to prepare or could not be observed. */
function doomedBy(failures: Failures, away: Away, steps: readonly Step[]): Set<ResourceId> {
  const doomed = new Set<ResourceId>([...failures.keys(), ...away.keys()]);
  if (doomed.size === 0) return doomed;
  const before = requirements(steps.map((s) => s.want));
  // Steps come in dependency order.
  for (const { want } of steps) if ([...(before.get(want.id) ?? [])].some((id) => doomed.has(id))) doomed.add(want.id);
  return doomed;
}

const OK: Health = { state: 'ok', message: '' };

/** Health of everything that was observed, before anything was done. */
function healthNow(run: Run, { plan, away }: Planned): Map<ResourceId, Health> {
  const health = new Map<ResourceId, Health>();
  for (const { want, seen } of plan.steps)
    if (!away.has(want.id)) health.set(want.id, run.providers.get(kindOf(want.id))?.health(want, seen) ?? OK);
  return health;
}
