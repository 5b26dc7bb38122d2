/** Two kept resources that swap a claim (a port, a name): both release it before either is recreated. */
import { kindOf } from '../../core/id.ts';
import { claimsOf, type Step } from '../../core/plan/plan.ts';
import type { ResourceId } from '../../core/types.ts';
import type { Run } from '../types.ts';
import { isWork } from './apply.ts';
import { indexed, observe } from './observe.ts';

/**
 * @returns the steps, with a new observation of those that released a claim, and their ids: they are stopped until they are
 * applied
 */
export async function release(
  run: Run,
  steps: readonly Step[],
  doomed: ReadonlySet<ResourceId>,
): Promise<{ steps: readonly Step[]; released: ReadonlySet<ResourceId> }> {
  const working = steps.filter((s) => isWork(s) && !doomed.has(s.want.id));
  const none = { steps, released: new Set<ResourceId>() };
  if (working.length === 0 || run.io.signal.aborted) return none;
  const claims = (step: Step): readonly string[] =>
    run.providers.get(kindOf(step.want.id))?.claims(step.want.spec) ?? [];
  const holders = new Map<string, ResourceId[]>();
  for (const row of run.store.inventory.list())
    for (const claim of claimsOf(row)) holders.set(claim, [...(holders.get(claim) ?? []), row.id]);
  const wanted = new Set<ResourceId>();
  for (const step of working)
    for (const claim of claims(step))
      for (const holder of holders.get(claim) ?? []) if (holder !== step.want.id) wanted.add(holder);
  const letting = steps.filter(
    (s) => wanted.has(s.want.id) && s.change.op === 'replace' && s.seen !== undefined && !doomed.has(s.want.id),
  );
  if (letting.length === 0) return none;
  run.store.beforeActing();
  // Dependents release before what they need.
  for (const step of letting.toReversed())
    if (step.seen) await run.providers.get(kindOf(step.want.id))?.release?.(step.want.id, step.seen, run.io.signal);
  const ids = letting.map((s) => s.want.id);
  const { seen } = await observe(run.providers, ids, run.io.signal, indexed(letting.map((s) => s.want)));
  return {
    steps: steps.map((s) => (ids.includes(s.want.id) ? { ...s, seen: seen.get(s.want.id) ?? s.seen } : s)),
    released: new Set(ids),
  };
}
