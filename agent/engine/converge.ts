/** Converges the host to one commit: load, observe, plan, gate, prepare, apply, settle, prune. */

import { kindOf } from '../core/graph.ts';
import { makePlan, type Plan, pruneHold, type Step } from '../core/plan.ts';
import type { Health } from '../core/provider.ts';
import type { Checkout, Issue, Problem, ResourceId } from '../core/types.ts';
import { applySteps, type Failures, isWork, prepare } from './apply.ts';
import { judge } from './judge.ts';
import { type Observed, observe } from './observe.ts';
import { prune } from './prune.ts';
import { settle } from './settle.ts';
import type { EngineDeps, Loaded, Outcome, RunRequest } from './types.ts';

export interface Planned {
  loaded: Loaded;
  observed: Observed;
  plan: Plan;
  /** Why the removals, or all of it, wait. */
  held: string | null;
  /** `held` stops every action, not only the removals. */
  holdsAll: boolean;
}

/** Loads, observes and plans; touches nothing. null where the commit says nothing about this host. */
export async function planFor(deps: EngineDeps, loaded: Loaded, request: RunRequest): Promise<Planned> {
  const inventory = deps.store.inventory.list();
  const ids = [...loaded.resources.map((r) => r.id), ...inventory.map((row) => row.id)];
  const observed = await observe(deps.providers, ids, request.signal, loaded.resources);
  const away = (id: ResourceId) => observed.unreachable.has(kindOf(id));
  const plan = makePlan({
    desired: loaded.resources,
    seen: observed.seen,
    inventory: inventory.map((row) => ({ ...row, claims: claimsOf(row.info) })),
    pendingNotifies: deps.store.inventory.pendingNotifies(),
    providers: deps.providers,
  });
  const reachable: Plan = {
    steps: plan.steps.map((s) => (away(s.want.id) ? idle(s) : s)),
    removals: plan.removals.filter((r) => !away(r.id)),
  };
  const gone = reachable.removals.filter((r) => r.seen !== undefined).length;
  const observing = loaded.host.mode === 'observe';
  const held = observing
    ? 'mode is observe: fairlead only looks'
    : request.allowPrune
      ? null
      : pruneHold(gone, inventory.length, percent(loaded.host.prune?.max));
  return { loaded, observed, plan: reachable, held, holdsAll: held !== null };
}

/** The whole way for one commit. `accepted`: this very commit was applied before, so it cannot be rejected any more. */
export async function converge(
  deps: EngineDeps,
  checkout: Checkout,
  accepted: boolean,
  request: RunRequest,
): Promise<Outcome> {
  const loaded = await deps.load(checkout);
  const errors = loaded.issues.filter((i) => i.severity === 'error');
  if (errors.length > 0) return rejected(checkout, loaded, errors.map(issueProblem));
  if (!checkout.hostExists || loaded.resources.length === 0) return unassigned(checkout, loaded);

  request.emit({ type: 'phase', phase: 'plan' });
  const { plan, observed, held, holdsAll } = await planFor(deps, loaded, request);
  if (holdsAll) return judge({ checkout, loaded, observed, plan, held, records: [], health: healthNow(deps, plan) });

  const work = plan.steps.filter(isWork);
  if (work.length > 0) request.emit({ type: 'phase', phase: 'prepare' });
  const failures = await prepare(deps, work, request);
  const wrong = work.filter((s) => failures.get(s.want.id)?.retry === false);
  if (wrong.length > 0 && !accepted)
    return rejected(
      checkout,
      loaded,
      wrong.map((s) => prepareProblem(s, failures)),
    );

  await accept(deps, checkout);
  for (const step of plan.steps) {
    const error = observed.unreachable.get(kindOf(step.want.id));
    if (error) failures.set(step.want.id, error);
  }
  const released = await prune(
    deps,
    plan.removals.filter((r) => r.releaseFirst),
    request,
  );
  const records = [...(await applySteps(deps, plan.steps, failures, request)).values()];
  const applied = new Set(records.filter((r) => r.result === 'done').map((r) => r.id));
  // Whatever was changed, all checks must pass after it.
  const done = plan.steps
    .filter((s) => applied.has(s.want.id) || (records.length > 0 && kindOf(s.want.id) === 'check'))
    .map((s) => s.want);
  const settled = await settle(deps, done, settleMs(loaded), request);
  const well = records.every((r) => r.result === 'done') && [...settled.values()].every((h) => h.state === 'ok');
  const pruned = well
    ? await prune(
        deps,
        plan.removals.filter((r) => !r.releaseFirst),
        request,
      )
    : [];
  return judge({
    checkout,
    loaded,
    observed,
    plan,
    held: null,
    records: [...released, ...records, ...pruned],
    health: new Map([...healthNow(deps, plan), ...settled]),
  });
}

/** Health of what the plan leaves alone, from what was just observed. */
const healthNow = (deps: EngineDeps, plan: Plan): Map<ResourceId, Health> =>
  new Map(
    plan.steps
      .filter((s) => s.change.op === 'none')
      .map((s) => [
        s.want.id,
        deps.providers.get(kindOf(s.want.id))?.health(s.want, s.seen) ?? { state: 'ok', message: '' },
      ]),
  );

/** From here on this commit is what repairs go by, with or without the server. */
async function accept(deps: EngineDeps, checkout: Checkout): Promise<void> {
  const { commit } = checkout.info;
  if (deps.store.meta.get<string>('accepted') === commit) return;
  await deps.snapshots.save(checkout);
  deps.store.meta.set('accepted', commit);
  vouched(deps);
}

/** The configured url and ref serve the accepted commit: from here on they must not go behind it. */
export function vouched({ store, source }: EngineDeps): void {
  if (store.meta.get<string>('acceptedFrom') !== source.id) store.meta.set('acceptedFrom', source.id);
}

const idle = (step: Step): Step => ({ ...step, change: { op: 'none' }, refreshFor: [] });

function rejected(checkout: Checkout, loaded: Loaded, problems: Problem[]): Outcome {
  const first = problems[0];
  const message = `commit ${checkout.info.commit.slice(0, 7)} has ${problems.length === 1 ? 'an error' : `${problems.length} errors`} and was not applied: ${first?.message ?? ''}`;
  return { ...empty(checkout, loaded), rejected: true, problems, whole: ['failed'], reason: 'InvalidCommit', message };
}

function unassigned(checkout: Checkout, loaded: Loaded): Outcome {
  const what = checkout.hostExists ? 'declares nothing' : 'does not exist';
  const message = `${checkout.hostPath} ${what} in commit ${checkout.info.commit.slice(0, 7)}; nothing was removed. Add manifests there, or set repo.path`;
  return { ...empty(checkout, loaded), whole: ['unassigned'], reason: 'Unassigned', message };
}

const empty = (checkout: Checkout, loaded: Loaded): Outcome => ({
  rejected: false,
  commit: checkout.info,
  mode: loaded.host.mode,
  labels: loaded.labels,
  actions: [],
  resources: [],
  problems: [],
  whole: [],
  reason: '',
  message: '',
});

const issueProblem = (issue: Issue): Problem => ({
  id: issue.key,
  reason: 'InvalidManifest',
  message: issue.message,
  file: issue.file,
  line: issue.line,
});

function prepareProblem(step: Step, failures: Failures): Problem {
  const error = failures.get(step.want.id);
  const { file, line } = step.want.origin;
  return { id: step.want.id, reason: error?.code ?? 'PrepareFailed', message: error?.message ?? '', file, line };
}

function claimsOf(info: Record<string, unknown>): string[] {
  return Array.isArray(info.claims) ? info.claims.filter((c): c is string => typeof c === 'string') : [];
}

/** `50%` → 50 */
const percent = (text: string | undefined): number => Number.parseFloat(text ?? '50') || 0;

function settleMs(loaded: Loaded): number {
  const match = /^(\d+)(ms|s|m|h)$/.exec(loaded.host.settle?.timeout ?? '5m');
  const unit = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }[match?.[2] ?? 'm'] ?? 60_000;
  return Number(match?.[1] ?? 5) * unit;
}
