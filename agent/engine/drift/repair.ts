/**
 * A run for resources that may have drifted: the stages of a reconcile on a part of the host, against what it runs, without the
 * server.
 */
import { kindOf } from '../../core/id.ts';
import { affected } from '../../core/order/subset.ts';
import { makePlan, type Step } from '../../core/plan/plan.ts';
import { pausedWith } from '../../core/plan/resource-pause.ts';
import type { Health } from '../../core/provider.ts';
import type { ActionRecord, Gate, ResourceId } from '../../core/types.ts';
import { withFields } from '../../log.ts';
import { judge } from '../decide/judge.ts';
import { createBlame } from '../decide/weigh.ts';
import { createRun } from '../run/create-run.ts';
import { pauseGate } from '../run/gates.ts';
import { OBSERVING } from '../run/plan-for.ts';
import type { RunResult } from '../run/reconcile.ts';
import { recordRun } from '../run/records/record.ts';
import { applySteps, isWork, prepare } from '../steps/apply.ts';
import { withSeenEffects } from '../steps/effects.ts';
import { awayAmong, awayOf, indexed, observe } from '../steps/observe.ts';
import { concludeSettled } from '../steps/settle.ts';
import { pauseInForce, resourcePausesInForce } from '../steps/window.ts';
import type { EngineDeps, Holding, Loaded, Outcome, Planned, Run, RunRequest } from '../types.ts';

/** Pause before each further try, in ms; null after the last. */
const PAUSES_MS = [100, 200, 400, null];

/**
 * Observes the hinted resources and those that depend on them, and repairs differences from a declaration that was applied
 * before; a declaration that was never applied is left to the next full run. It does not wait for settle, so that one slow
 * container delays no other repair: the watcher that hinted observes it again.
 * @param previous the last run: its results for all other resources stay valid
 */
export async function repair(
  deps: EngineDeps,
  { checkout, loaded }: Holding,
  hinted: ReadonlySet<ResourceId>,
  previous: RunResult,
  request: RunRequest,
): Promise<RunResult> {
  const run = createRun(deps, request);
  const startedAt = run.clock.now();
  const began = run.clock.monotonic();
  const planned = await planSettled(run, loaded, hinted, previous.outcome);
  const { plan, gate } = planned;
  const untouched = new Set<ResourceId>();
  const blame = createBlame(loaded.resources, new Set(run.store.facts.get('unwellBeforeTrial') ?? []));
  const answer = (records: readonly ActionRecord[], after: ReadonlyMap<ResourceId, Health>) => {
    const health = new Map([...healthOf(run, plan.steps), ...after]);
    // The repair is done, even if the resource drifts or fails again at once: the next run handles that.
    const none = { settled: new Map(), stopped: false, unfinished: false, proof: null };
    const part = judge({ checkout, planned, blame, records, health, untouched, ...none });
    return run.redact(overlay(previous.outcome, part, planned.left));
  };

  const work = plan.steps.filter(isWork);
  const known = new Set(previous.outcome.resources.filter((r) => r.sync === 'held').map((r) => r.id));
  if (work.length === 0 || (gate !== null && work.every((s) => known.has(s.want.id)))) {
    const outcome = { ...answer([], new Map()), actions: [] };
    return { run: previous.run, outcome, part: { hinted, recorded: false, news: differs(previous.outcome, outcome) } };
  }

  const id = run.store.runs.begin(request.trigger, startedAt.toISOString());
  let outcome = answer([], new Map());
  if (gate === null) {
    const using = { ...run, log: withFields(run.log, { run: id }) };
    const records = await repairSteps(using, loaded, previous.outcome, planned, untouched);
    const health = await healthAfter(run, work);
    const done = records.filter((r) => r.result === 'done').map((r) => r.id);
    const wants = work.map((s) => s.want).filter(({ id }) => done.includes(id));
    await concludeSettled(run, wants, health, { isNew: false });
    outcome = answer(await withSeenEffects(using, work, records, health), health);
  }
  const durationMs = run.clock.monotonic() - began;
  const begun = { id, trigger: run.asked.trigger, startedAt: startedAt.toISOString(), durationMs };
  const looked = new Set(plan.steps.map((s) => s.want.id));
  return { run: recordRun(run, begun, outcome, looked), outcome, part: { hinted, recorded: true, news: true } };
}

/**
 * Applies the plan. A step may fail because its resource was between two states, such as a container that is being removed, so
 * it is tried again as long as the resource looks different than before.
 * @param untouched receives the resources that were left unchanged
 */
async function repairSteps(
  run: Run,
  loaded: Loaded,
  previous: Outcome,
  first: Planned,
  untouched: Set<ResourceId>,
): Promise<ActionRecord[]> {
  const records = new Map<ResourceId, ActionRecord>();
  let { plan, away } = first;
  for (const pause of PAUSES_MS) {
    const failures = await prepare(run, plan.steps.filter(isWork));
    const applied = await applySteps(run, plan.steps, { failures, away });
    for (const [id, record] of applied.records) records.set(id, record);
    for (const { want } of plan.steps) untouched.delete(want.id);
    for (const id of failures.keys()) untouched.add(id);
    const failed = new Set([...records.values()].filter((r) => r.drift && r.result === 'failed').map((r) => r.id));
    if (failed.size === 0 || pause === null) break;
    await run.clock.sleep(pause, run.io.signal);
    const before = new Map(plan.steps.map((s) => [s.want.id, JSON.stringify(s.change)]));
    const again = await planPart(run, loaded, failed, previous);
    const moved = again.plan.steps.filter(
      (s) => failed.has(s.want.id) && JSON.stringify(s.change) !== before.get(s.want.id),
    );
    if (moved.length === 0) break;
    plan = { steps: again.plan.steps, removals: [] };
    away = again.away;
  }
  return [...records.values()];
}

/**
 * First finishes earlier repairs: a resource that an earlier repair recreated and that is now well releases what it replaced,
 * which is no drift.
 */
async function planSettled(
  run: Run,
  loaded: Loaded,
  hinted: ReadonlySet<ResourceId>,
  previous: Outcome,
): Promise<PartPlan> {
  const planned = await planPart(run, loaded, hinted, previous);
  if (planned.gate !== null) return planned;
  const steps = planned.plan.steps.filter((s) => s.drift && s.change.op === 'update');
  const health = healthOf(run, steps);
  const well = steps.map((s) => s.want).filter(({ id }) => health.get(id)?.state === 'ok');
  const concluded = await concludeSettled(run, well, health, { isNew: false });
  return concluded ? planPart(run, loaded, hinted, previous) : planned;
}

interface PartPlan extends Planned {
  /** They differ, but were never applied or never proved themselves: a full run decides about them. */
  left: ReadonlySet<ResourceId>;
}

async function planPart(
  run: Run,
  loaded: Loaded,
  hinted: ReadonlySet<ResourceId>,
  previous: Outcome,
): Promise<PartPlan> {
  const { store } = run;
  const desired = loaded.host.decommission ? [] : affected(run.kinds, loaded.resources, hinted);
  const ids = desired.map((d) => d.id);
  const observed = await observe(run.providers, ids, run.io.signal, indexed(desired));
  const away = awayAmong(observed, ids);
  const known = store.inventory.index();
  const { steps } = makePlan({
    desired,
    seen: observed.seen,
    inventory: new Map([...known].filter(([id]) => ids.includes(id))),
    pendingNotifies: store.inventory.pendingNotifies(),
    kinds: run.kinds,
    providers: run.providers,
  });
  // An unproven change is not drift: whether it becomes well is part of the verdict on its commit.
  const unproven = new Set(store.facts.get('unsettled') ?? []);
  const { held } = pausedWith(await resourcePausesInForce(run), loaded.resources);
  const kept = new Set([...(store.commits.get().keeps ?? []), ...held.keys()]);
  const isOurs = ({ want: { id }, change, drift }: Step) =>
    known.has(id) && !kept.has(id) && !unproven.has(id) && !away.has(id) && (drift || change.op === 'none');
  const isLeft = (s: Step) => s.change.op !== 'none' && !isOurs(s) && !away.has(s.want.id);
  const left = new Set(steps.filter(isLeft).map((s) => s.want.id));
  const planned = steps.map(
    (s): Step => (isOurs(s) ? s : { ...s, change: { op: 'none' }, refreshFor: [], drift: false }),
  );
  return { loaded, plan: { steps: planned, removals: [] }, away, left, gate: await gateNow(run, previous) };
}

/**
 * Pause and observe mode stop repairs; a window or a pin does not. `mode: observe` of a head counts although the head is not
 * applied.
 */
async function gateNow(run: Run, { mode }: Outcome): Promise<Gate | null> {
  const pause = await pauseInForce(run);
  if (pause !== null) return pauseGate(pause);
  return mode === 'observe' ? OBSERVING : null;
}

const healthOf = (run: Run, steps: readonly Pick<Step, 'want' | 'seen'>[]): Map<ResourceId, Health> =>
  new Map(
    steps.flatMap(({ want, seen }) => {
      const health = run.providers.get(kindOf(want.id))?.health(want, seen);
      return health ? [[want.id, health] as const] : [];
    }),
  );

/** The health of the changed resources, observed once. */
async function healthAfter(run: Run, work: readonly Step[]): Promise<Map<ResourceId, Health>> {
  const wants = work.map((s) => s.want);
  const observed = await observe(
    run.providers,
    wants.map((w) => w.id),
    run.io.signal,
    indexed(wants),
  );
  return healthOf(
    run,
    wants
      .filter(({ id }) => awayOf(observed, id) === undefined)
      .map((want) => ({ want, seen: observed.seen.get(want.id) })),
  );
}

/**
 * The last result for the whole host, updated with the result for a part of it.
 * @param left resources that failed and were left unchanged: they keep their failure and its reason, however they look now
 */
function overlay({ rollback: _told, ...previous }: Outcome, part: Outcome, left: ReadonlySet<ResourceId>): Outcome {
  const before = new Map(previous.resources.map((r) => [r.id, r]));
  const stays = (id: ResourceId) => left.has(id) && before.get(id)?.sync === 'failed';
  const fresh = new Map(part.resources.filter((r) => !stays(r.id)).map((r) => [r.id, r]));
  const problems = [
    ...previous.problems.filter((p) => !fresh.has(p.id as ResourceId)),
    ...part.problems.filter((p) => !stays(p.id as ResourceId)),
  ];
  const holds = part.hostStates.includes('held') && !previous.hostStates.includes('held');
  const stands = previous.hostStates.some((state) => state !== 'progressing');
  const first = problems[0];
  return {
    ...previous,
    gate: previous.gate ?? part.gate,
    actions: part.actions,
    resources: [
      ...previous.resources.map((r) => fresh.get(r.id) ?? r),
      ...part.resources.filter((r) => !before.has(r.id)),
    ],
    problems,
    hostStates: holds ? [...previous.hostStates, 'held'] : previous.hostStates,
    reason: holds ? part.reason : stands ? previous.reason : (first?.reason ?? ''),
    message: holds ? part.message : stands ? previous.message : first ? `${first.id}: ${first.message}` : '',
  };
}

const differs = (a: Outcome, b: Outcome): boolean =>
  JSON.stringify([a.resources, a.problems]) !== JSON.stringify([b.resources, b.problems]);
