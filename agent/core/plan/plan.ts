/** desired + seen + inventory → the actions, with their reasons. Pure. */

import type { ReasonCode } from '../../../manifests-schema/reasons.ts';
import { withoutCredentials } from '../credentials/credentials.ts';
import { kindOf } from '../id.ts';
import { type KindTable, traitsOf } from '../kind.ts';
import { inOrder, removalOrder } from '../order/graph.ts';
import type { Provider } from '../provider.ts';
import type {
  Change,
  Desired,
  Issue,
  Kind,
  Mark,
  PlannedAction,
  Reason,
  RefreshVerb,
  ResourceId,
  Seen,
} from '../types.ts';

export interface Step {
  want: Desired;
  seen: Seen | undefined;
  change: Change;
  /** Sources of notifies that are due for this resource, from this plan or from an interrupted run. */
  refreshFor: readonly ResourceId[];
  /** The action that the notifies ask for: a restart if at least one asks for it. */
  refreshVerb: RefreshVerb;
  /** The last confirmed apply had the same declaration, so the difference is drift. */
  drift: boolean;
  /** The change that waits for an operator, and why, as a sentence. The step itself then does nothing. */
  held?: { code: ReasonCode; change: Exclude<Change, { op: 'none' }>; reason: string };
}

const NOTHING: Change = { op: 'none' };
/** A resource in observe mode is never changed: its change is held permanently. */
const observing = (change: Change): Pick<Step, 'held'> =>
  change.op === 'none'
    ? {}
    : {
        held: {
          code: 'Observing',
          change,
          reason: 'its mode is observe: fairlead reports differences and changes nothing',
        },
      };

export interface Removal {
  id: ResourceId;
  seen: Seen | undefined;
  /**
   * Declared resources that need a claim (a path, a port, a name) or data which this one occupies: it is removed before they
   * are applied.
   */
  neededBy: readonly ResourceId[];
  /** Ids that this resource came after when it was last declared. */
  needs: readonly ResourceId[];
  /** The part of it that stays on the host, or is restored. */
  leaves: Reason | null;
}

export interface Plan {
  steps: readonly Step[];
  removals: readonly Removal[];
}

export interface InventoryEntry extends Mark {
  id: ResourceId;
  /**
   * `claims`: of the last declaration; `was`: of the declaration before, until the last one is confirmed as applied; `needs`:
   * what it comes after; `memo`: see `Provider.memo`.
   */
  info: Readonly<Record<string, unknown>>;
}

/** All claims that it may hold. */
export function claimsOf({ info }: Pick<InventoryEntry, 'info'>): string[] {
  return [info.claims, info.was].flatMap((list) =>
    Array.isArray(list) ? list.filter((c) => typeof c === 'string') : [],
  );
}

/** Ids that it came after when it was last declared. */
export function needsOf({ info }: Pick<InventoryEntry, 'info'>): ResourceId[] {
  return Array.isArray(info.needs) ? info.needs.filter((id): id is ResourceId => typeof id === 'string') : [];
}

const memoOf = ({ info }: Pick<InventoryEntry, 'info'>): Mark['memo'] =>
  typeof info.memo === 'object' && info.memo !== null ? (info.memo as Mark['memo']) : undefined;

export interface PlanInput {
  desired: readonly Desired[];
  /** Whether `desired` is in dependency order already. */
  isOrdered?: boolean;
  seen: ReadonlyMap<ResourceId, Seen>;
  inventory: ReadonlyMap<ResourceId, InventoryEntry>;
  pendingNotifies: readonly { target: ResourceId; source: ResourceId; verb?: RefreshVerb }[];
  kinds: KindTable;
  providers: ReadonlyMap<Kind, Pick<Provider, 'diff' | 'claims' | 'leaves' | 'yieldsTo'>>;
}

/** Makes the plan. Steps come in dependency order, removals in reverse default order. */
export function makePlan(input: PlanInput): Plan {
  const steps = (input.isOrdered ? input.desired : inOrder(input.kinds, input.desired)).map((want) =>
    stepFor(want, input),
  );
  const all = notified(withoutOwnTraces(steps, input), input.pendingNotifies);
  return { steps: all, removals: planRemovals(input, all) };
}

/**
 * Does not count the traces of an interrupted run as drift: that run may itself have stopped or detached a resource that waits
 * for a notify, or depends on something that was being changed.
 */
function withoutOwnTraces(steps: Step[], { pendingNotifies, inventory }: PlanInput): Step[] {
  const told = new Set(pendingNotifies.map(({ target }) => target));
  const isCutOff = (id: ResourceId): boolean => {
    const row = inventory.get(id);
    return row !== undefined && row.intent !== row.hash;
  };
  return steps.map((step) =>
    step.drift && (told.has(step.want.id) || step.want.after.some(isCutOff)) ? { ...step, drift: false } : step,
  );
}

/** Masks credentials. Kinds mask those they know about when they compare; this catches the rest. */
function told(change: Change): Change {
  if (change.op === 'none') return change;
  const why = change.why.map(({ field, ...texts }) => ({ field, ...withoutCredentials(texts) }));
  return { ...change, why };
}

/** The step for one resource, before the notifies of others are added. */
function stepFor(want: Desired, { kinds, providers, inventory, seen: all }: PlanInput): Step {
  const mark = inventory.get(want.id);
  const found = all.get(want.id);
  const memo = mark && memoOf(mark);
  const seen = found && mark ? { ...found, mark: memo ? { ...mark, memo } : mark } : found;
  const change = told(providers.get(kindOf(want.id))?.diff(want, seen) ?? NOTHING);
  const only = { want, seen, refreshFor: NOBODY, refreshVerb: 'reload' } as const;
  if (want.mode === 'observe') return { ...only, change: NOTHING, drift: false, ...observing(change) };
  const drift = traitsOf(kinds, want.id).drifts && change.op !== 'none' && mark?.hash === want.hash;
  return { ...only, change, drift };
}

/** Whether the change notifies others. */
export const notifiesOthers = (change: Change): boolean => change.op !== 'none' && change.quiet !== true;

const NOBODY: readonly ResourceId[] = [];

/** Adds the notifies that are due to the steps: those of this plan, and those of an interrupted run. */
function notified(steps: Step[], pending: PlanInput['pendingNotifies']): Step[] {
  const refreshFor = new Map<ResourceId, ResourceId[]>();
  const restarts = new Set<ResourceId>();
  const notify = (target: ResourceId, source: ResourceId, verb: RefreshVerb = 'restart') => {
    const sources = refreshFor.get(target) ?? [];
    if (!sources.includes(source)) refreshFor.set(target, [...sources, source]);
    if (verb === 'restart') restarts.add(target);
  };
  for (const { target, source, verb } of pending) notify(target, source, verb);
  for (const { want, change } of steps) {
    if (!notifiesOthers(change)) continue;
    for (const target of want.notify) notify(target, want.id);
    for (const target of want.reload ?? []) notify(target, want.id, 'reload');
  }
  if (refreshFor.size === 0) return steps;
  return steps.map((step): Step => {
    const { id, mode } = step.want;
    const fresh = step.change.op === 'create' || step.change.op === 'replace';
    return {
      ...step,
      refreshFor: fresh || mode === 'observe' ? NOBODY : (refreshFor.get(id) ?? NOBODY),
      refreshVerb: restarts.has(id) ? 'restart' : 'reload',
    };
  });
}

function planRemovals(input: PlanInput, steps: readonly Step[]): Removal[] {
  const wanted = new Set(input.desired.map((d) => d.id));
  const gone = [...input.inventory.keys()].filter((id) => !wanted.has(id));
  if (gone.length === 0) return [];
  const claimants = new Map<string, ResourceId[]>();
  for (const { id, spec } of input.desired)
    for (const claim of input.providers.get(kindOf(id))?.claims(spec) ?? [])
      claimants.set(claim, [...(claimants.get(claim) ?? []), id]);
  const needs = new Map(gone.map((id) => [id, needsOf(input.inventory.get(id) ?? { info: {} })]));
  return removalOrder(input.kinds, gone, needs).map((id) => {
    const row = input.inventory.get(id);
    const found = input.seen.get(id);
    const seen = found && row ? { ...found, mark: { hash: row.hash, intent: row.intent, memo: memoOf(row) } } : found;
    const provider = input.providers.get(kindOf(id));
    const ofItsKind = () => steps.filter(({ want }) => kindOf(want.id) === kindOf(id));
    const yields = (seen && provider?.yieldsTo?.({ id, seen }, ofItsKind())) ?? [];
    return {
      id,
      seen,
      leaves: (seen && provider?.leaves?.({ id, seen })) ?? null,
      neededBy: [...new Set((row ? claimsOf(row) : []).flatMap((claim) => claimants.get(claim) ?? []).concat(yields))],
      needs: needs.get(id) ?? [],
    };
  });
}

/** The plan for people and programs: only the steps that would do something. */
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
        why: [{ field: 'declaration', to: 'gone' }, ...(r.leaves ? [r.leaves] : [])],
        origin: null,
        ...mark,
      }),
    );
  return [...steps, ...waiting, ...removals];
}

/** Errors for two owners of one path, port, unit or container name; each names both places. */
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

/**
 * Why the removals of a plan must wait for an operator, or null. Only if four or more resources are managed and more than `max`
 * percent of them would go.
 */
export function pruneHold(removals: number, managed: number, maxPercent: number): string | null {
  if (managed < 4 || removals * 100 <= managed * maxPercent) return null;
  return `this commit removes ${removals} of ${managed} managed resources, more than prune.max (${maxPercent}%); run \`fairlead sync --allow-prune\` if that is meant`;
}
