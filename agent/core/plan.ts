/** desired + seen + inventory → what to do and why. Pure. */

import { kindOf, predecessors, rankOf, removalOrder } from './graph.ts';
import type { Provider } from './provider.ts';
import type { Change, Desired, Issue, Kind, Mark, PlannedAction, RefreshVerb, ResourceId, Seen } from './types.ts';

export interface Step {
  want: Desired;
  seen: Seen | undefined;
  change: Change;
  /** Sources of notifies that wait for this resource, from this plan or from an interrupted run. */
  refreshFor: readonly ResourceId[];
  /** What they ask for: a restart, if any of them does. */
  refreshVerb: RefreshVerb;
  /** The last confirmed apply was of this very declaration: what differs now has drifted. */
  drift: boolean;
  /** What would be done, and waits for a person: why, in a sentence. The step itself has no work then. */
  held?: { code: 'NotAdopted' | 'Observing'; change: Exclude<Change, { op: 'none' }>; reason: string };
}

const NOTHING: Change = { op: 'none' };
/** What is only looked at waits for ever. */
const observing = (change: Change): Pick<Step, 'held'> =>
  change.op === 'none'
    ? {}
    : { held: { code: 'Observing', change, reason: 'its mode is observe: fairlead only looks' } };

export interface Removal {
  id: ResourceId;
  seen: Seen | undefined;
  /** Wanted resources that need a claim (a port, a name) which it holds: it goes before they are applied. */
  neededBy: readonly ResourceId[];
}

export interface Plan {
  steps: readonly Step[];
  removals: readonly Removal[];
}

export interface InventoryEntry extends Mark {
  id: ResourceId;
  /** What it claimed when it was last declared. */
  claims: readonly string[];
}

export interface PlanInput {
  desired: readonly Desired[];
  seen: ReadonlyMap<ResourceId, Seen>;
  inventory: readonly InventoryEntry[];
  pendingNotifies: readonly { target: ResourceId; source: ResourceId; verb?: RefreshVerb }[];
  providers: ReadonlyMap<Kind, Pick<Provider, 'diff' | 'claims'>>;
}

/** Makes the plan. Steps come in dependency order, removals in reverse default order. */
export function makePlan(input: PlanInput): Plan {
  const marks = new Map(input.inventory.map((row) => [row.id, row]));
  const changes = new Map<ResourceId, Pick<Step, 'seen' | 'change' | 'drift' | 'held'>>();
  for (const want of input.desired) {
    const mark = marks.get(want.id);
    const found = input.seen.get(want.id);
    const seen = found && mark ? { ...found, mark: { hash: mark.hash, intent: mark.intent } } : found;
    const change = input.providers.get(kindOf(want.id))?.diff(want, seen) ?? { op: 'none' };
    // A job that is to run again is no drift: nothing on the host has changed.
    const lasting = kindOf(want.id) !== 'job';
    const drift = lasting && change.op !== 'none' && mark?.hash === want.hash;
    const only = want.mode === 'observe' ? { change: NOTHING, drift: false, ...observing(change) } : { change, drift };
    changes.set(want.id, { seen, ...only });
  }

  const refreshFor = new Map<ResourceId, ResourceId[]>();
  const restarts = new Set<ResourceId>();
  const notify = (target: ResourceId, source: ResourceId, verb: RefreshVerb = 'restart') => {
    const sources = refreshFor.get(target) ?? [];
    if (!sources.includes(source)) refreshFor.set(target, [...sources, source]);
    if (verb === 'restart') restarts.add(target);
  };
  for (const { target, source, verb } of input.pendingNotifies) notify(target, source, verb);
  for (const want of input.desired) {
    if (changes.get(want.id)?.change.op === 'none') continue;
    for (const target of want.notify) notify(target, want.id);
    for (const target of want.reload ?? []) notify(target, want.id, 'reload');
  }

  const steps = inOrder(input.desired).map((want): Step => {
    const found = changes.get(want.id) ?? { seen: undefined, change: NOTHING, drift: false };
    const fresh = found.change.op === 'create' || found.change.op === 'replace';
    return {
      want,
      ...found,
      refreshFor: fresh || want.mode === 'observe' ? [] : (refreshFor.get(want.id) ?? []),
      refreshVerb: restarts.has(want.id) ? 'restart' : 'reload',
    };
  });
  return { steps, removals: planRemovals(input) };
}

function planRemovals(input: PlanInput): Removal[] {
  const wanted = new Set(input.desired.map((d) => d.id));
  const claimants = new Map<string, ResourceId[]>();
  for (const { id, spec } of input.desired)
    for (const claim of input.providers.get(kindOf(id))?.claims(spec) ?? [])
      claimants.set(claim, [...(claimants.get(claim) ?? []), id]);
  const gone = new Map(input.inventory.filter((row) => !wanted.has(row.id)).map((row) => [row.id, row]));
  return removalOrder([...gone.keys()]).map((id) => {
    const row = gone.get(id);
    const found = input.seen.get(id);
    return {
      id,
      seen: found && row ? { ...found, mark: { hash: row.hash, intent: row.intent, memo: row.memo } } : found,
      neededBy: [...new Set(row?.claims.flatMap((claim) => claimants.get(claim) ?? []) ?? [])],
    };
  });
}

/** Dependency order; among the free ones the default order, then the id, so that the order never depends on chance. */
function inOrder(desired: readonly Desired[]): Desired[] {
  const before = predecessors(desired);
  const left = new Map(
    [...desired].sort((a, b) => rankOf(a.id) - rankOf(b.id) || (a.id < b.id ? -1 : 1)).map((d) => [d.id, d]),
  );
  const ordered: Desired[] = [];
  while (left.size > 0) {
    const free = [...left.values()].filter((d) => [...(before.get(d.id) ?? [])].every((id) => !left.has(id)));
    // A cycle is reported as an issue before planning; here it must only not hang.
    for (const d of free.length > 0 ? free : [...left.values()]) {
      ordered.push(d);
      left.delete(d.id);
    }
  }
  return ordered;
}

/** The plan as people and programs read it: only what would be done. */
export function plannedActions(plan: Plan, held?: string): PlannedAction[] {
  const mark = held === undefined ? {} : { held };
  const steps = plan.steps
    .filter((s) => s.change.op !== 'none' || s.refreshFor.length > 0)
    .map((s): PlannedAction => {
      const why = s.change.op === 'none' ? s.refreshFor.map((id) => ({ field: 'notify', to: id })) : s.change.why;
      return {
        id: s.want.id,
        op: s.change.op === 'none' ? 'refresh' : s.change.op,
        why,
        origin: s.want.origin,
        ...mark,
      };
    });
  const waiting = plan.steps.flatMap(({ want, held: hold }): PlannedAction[] =>
    hold ? [{ id: want.id, op: hold.change.op, why: hold.change.why, origin: want.origin, held: hold.reason }] : [],
  );
  const removals = plan.removals
    .filter((r) => r.seen !== undefined)
    .map(
      (r): PlannedAction => ({
        id: r.id,
        op: 'remove',
        why: [{ field: 'declaration', to: 'gone' }],
        origin: null,
        ...mark,
      }),
    );
  return [...steps, ...waiting, ...removals];
}

/** Two owners of one path, port, unit or container name: errors that name both places. */
export function claimIssues(desired: readonly Desired[], providers: PlanInput['providers']): Issue[] {
  const owners = new Map<string, Desired>();
  const issues: Issue[] = [];
  for (const resource of desired) {
    for (const claim of providers.get(kindOf(resource.id))?.claims(resource.spec) ?? []) {
      const other = owners.get(claim);
      if (other === undefined) owners.set(claim, resource);
      else if (other.id !== resource.id) {
        const { file, line } = resource.origin;
        const message = `${resource.id} and ${other.id} (${other.origin.file}:${other.origin.line}) both own ${claim}; keep one of them`;
        issues.push({ file, line, column: 1, key: resource.id, message, severity: 'error' });
      }
    }
  }
  return issues;
}

/** Why the removals of a plan must wait for a person, or null. Four or more resources, and more than `max` of them gone. */
export function pruneHold(removals: number, managed: number, maxPercent: number): string | null {
  if (managed < 4 || removals * 100 <= managed * maxPercent) return null;
  return `this commit removes ${removals} of ${managed} managed resources, more than prune.max (${maxPercent}%); run \`fairlead sync --allow-prune\` if that is meant`;
}
