/** What a look at the host says against a plan: work that waits for a person, with all that must wait with it. */
import { requirements } from '../../core/graph.ts';
import { kindOf } from '../../core/id.ts';
import type { Plan, Removal, Step } from '../../core/plan.ts';
import type { Around, Doubt } from '../../core/provider.ts';
import type { Desired, ResourceId } from '../../core/types.ts';
import type { Run } from '../types.ts';
import { isWork } from './apply.ts';
import { workOf } from './carry-out.ts';

/** @returns the plan without the work, and without the removals, that wait */
export async function withDoubts(
  { providers, store, asked }: Pick<Run, 'providers' | 'store' | 'asked'>,
  plan: Plan,
  declared: ReadonlyMap<ResourceId, Desired>,
): Promise<Plan> {
  if (asked.allowEmpty) return plan;
  const inventory = store.inventory.index();
  const around: Around = {
    gone: plan.removals,
    declared,
    isManaged: (id) => declared.has(id) || inventory.has(id),
    memoOf: (id) => inventory.get(id)?.info.memo as Readonly<Record<string, unknown>> | undefined,
  };
  const doubts = new Map<ResourceId, Doubt>();
  const work = plan.steps.filter((s) => s.change.op !== 'none');
  for (const [kind, steps] of Map.groupBy(work, (s) => kindOf(s.want.id)))
    for (const [id, doubt] of (await providers.get(kind)?.doubts?.(steps.map(workOf), around)) ?? [])
      doubts.set(id, doubt);
  return doubts.size === 0 ? plan : held(plan, doubts);
}

function held({ steps, removals }: Plan, doubts: ReadonlyMap<ResourceId, Doubt>): Plan {
  const before = requirements(steps.map((s) => s.want));
  const waiting = new Map<ResourceId, string>();
  // Steps come in dependency order.
  const judged = steps.map((step): Step => {
    const { id } = step.want;
    const culprit = [...(before.get(id) ?? [])].find((other) => waiting.has(other));
    const reason =
      doubts.get(id)?.reason ?? (culprit && `it waits for ${waiting.get(culprit) ?? culprit}, which is held`);
    if (reason === undefined) return step;
    waiting.set(id, doubts.has(id) ? id : (waiting.get(culprit ?? id) ?? id));
    const code = doubts.get(id)?.code ?? 'Held';
    const idle: Step = { ...step, change: { op: 'none' }, refreshFor: [], drift: false };
    // One that is as it should be has nothing to wait for.
    return step.change.op === 'none'
      ? isWork(step)
        ? idle
        : step
      : { ...idle, held: { code, change: step.change, reason } };
  });
  const kept = new Set([...doubts.values()].flatMap((d) => d.keeps));
  const stays = ({ id, neededBy }: Removal) => kept.has(id) || neededBy.some((other) => waiting.has(other));
  return { steps: judged, removals: removals.filter((r) => !stays(r)) };
}
