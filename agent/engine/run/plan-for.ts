/** Plans the changes of a commit on this host: one observation, one plan, and its gate. */

import { kindOf } from '../../core/id.ts';
import { type KindTable, traitsOf } from '../../core/kind.ts';
import { makePlan, pruneHold, type Step } from '../../core/plan/plan.ts';
import { type Paused, pausedWith } from '../../core/plan/resource-pause.ts';
import type { Decision } from '../../core/provider.ts';
import type { Checkout, Desired, Gate, ResourceId } from '../../core/types.ts';
import type { Mode } from '../decide/mode.ts';
import { withDoubts } from '../steps/doubts.ts';
import { awayAmong, awayOf, idsOf, observe } from '../steps/observe.ts';
import { resourcePausesInForce } from '../steps/window.ts';
import type { Loaded, Observed, Planned, Run, Unobserved } from '../types.ts';
import { isExpensive } from './prefetch.ts';

interface PlanOptions {
  given: Gate | null;
  mode: Mode;
  countsRemovals: boolean;
  alreadyRan?: ReadonlySet<ResourceId>;
  /** These resources stay as they are, whatever the commit declares. */
  keeps?: ReadonlySet<ResourceId>;
}

export const NONE: ReadonlySet<ResourceId> = new Set();
const NOTHING_AWAY: Unobserved = { failed: new Map(), unreachable: new Map() };
const NOTHING_WANTED: ReadonlyMap<ResourceId, Desired> = new Map();
export const OBSERVING: Gate = {
  kind: 'observe',
  reason: 'mode is observe: fairlead reports differences and changes nothing',
  until: null,
};

/** Whether the commit declares anything for this host. */
export const converges = (checkout: Checkout, loaded: Loaded): boolean =>
  loaded.host.decommission === true || (checkout.hostExists && loaded.resources.length > 0);

/**
 * Observes and plans; changes nothing.
 * @param given a gate that is already closed
 * @param countsRemovals hold the plan if it removes more than `prune.max`
 */
export async function planFor(
  run: Run,
  loaded: Loaded,
  { given, mode, countsRemovals, alreadyRan = NONE, keeps = NONE }: PlanOptions,
): Promise<Planned> {
  const inventory = run.store.inventory.index();
  const [desired, wants] = loaded.host.decommission ? [[], NOTHING_WANTED] : [loaded.ordered(), loaded.byId()];
  const ids = idsOf(wants, inventory);
  const prefetched = run.scratch.prefetched?.take(loaded) ?? null;
  const now = observe(
    run.providers,
    prefetched ? ids.filter((id) => isExpensive(run.kinds, id)) : ids,
    run.io.signal,
    wants,
  );
  const observed = joined(prefetched && (await prefetched), await now);
  const unseen = awayAmong(observed, ids);
  const plan = makePlan({
    desired,
    isOrdered: true,
    seen: observed.seen,
    inventory,
    pendingNotifies: run.store.inventory.pendingNotifies(),
    kinds: run.kinds,
    providers: run.providers,
  });
  const paused = pausedWith(await resourcePausesInForce(run), desired);
  const steps = plan.steps.map((s) =>
    unseen.has(s.want.id) ||
    alreadyRan.has(s.want.id) ||
    keeps.has(s.want.id) ||
    (!mode.runsJobs && skipsRollback(run.kinds, s.want))
      ? idle(s)
      : (orPaused(paused, s) ?? orHeld(run, s)),
  );
  const going = plan.removals.filter((r) => !keeps.has(r.id) && !paused.held.has(r.id));
  const doubted = loaded.host.decommission
    ? { plan: { steps, removals: going }, ...NOTHING_AWAY }
    : await withDoubts(run, { steps, removals: going }, wants);
  const away = new Map([...awayAmong(doubted, ids), ...unseen]);
  const undoubted = doubted.plan.steps.map((s) => (awayOf(doubted, s.want.id) ? idle(s) : s));
  const removals = doubted.plan.removals.map((r) =>
    loaded.host.decommission && traitsOf(run.kinds, r.id).survivesDecommission ? { ...r, seen: undefined } : r,
  );
  // Unreachable resources count as well, so that a Docker engine which is down does not weaken the limit.
  const gone = removals.filter((r) => r.seen !== undefined || away.has(r.id)).length;
  const tooMany =
    !countsRemovals || run.asked.allowPrune || loaded.host.decommission
      ? null
      : pruneHold(gone, inventory.size, Number.parseFloat(loaded.host.prune?.max ?? '50%') || 0);
  const gate: Gate | null =
    given ??
    (loaded.host.mode === 'observe' ? OBSERVING : null) ??
    (tooMany === null ? null : { kind: 'prune', reason: tooMany, until: null });
  return { loaded, plan: { steps: undoubted, removals }, away, gate };
}

/** Whether a rollback to an earlier commit leaves it out. */
export const skipsRollback = (kinds: KindTable, { id, spec }: Desired): boolean =>
  traitsOf(kinds, id).onRollback(spec) !== 'run';

function joined(prefetched: Observed | null, now: Observed): Observed {
  if (prefetched === null) return now;
  if (now.seen.size + now.failed.size + now.unreachable.size === 0) return prefetched;
  return {
    seen: new Map([...prefetched.seen, ...now.seen]),
    failed: new Map([...prefetched.failed, ...now.failed]),
    unreachable: new Map([...prefetched.unreachable, ...now.unreachable]),
  };
}

/**
 * Holds the step if a person paused the resource or one that it depends on, or if it would replace a resource that a paused one
 * needs.
 */
function orPaused({ held, beneath }: Paused, step: Step): Step | null {
  const { want, change } = step;
  const isBeneath = beneath.has(want.id) && change.op === 'replace';
  const why = held.get(want.id) ?? (isBeneath ? 'is needed by a paused resource' : undefined);
  if (why === undefined) return null;
  return change.op === 'none'
    ? idle(step)
    : { ...idle(step), held: { code: 'Paused', change, reason: `${want.id} ${why}` } };
}

/** Holds the step if it needs an operator's decision, such as whether to take over something that exists and differs. */
function orHeld({ providers, asked }: Run, step: Step): Step {
  const { want, seen, change } = step;
  const answer = providers.get(kindOf(want.id))?.hold?.(want, seen, change) ?? null;
  if (answer === null || change.op === 'none') return step;
  const { code, reason, liftedBy }: Decision =
    typeof answer === 'string' ? { code: 'NotAdopted', reason: answer, liftedBy: 'adopt' } : answer;
  if (liftedBy !== null && asked[liftedBy]) return step;
  return { ...idle(step), held: { code, change, reason } };
}

const idle = ({ held: _, ...step }: Step): Step => ({ ...step, change: { op: 'none' }, refreshFor: [], drift: false });
