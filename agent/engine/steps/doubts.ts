/**
 * Removes work from a plan that must wait for an operator because of the state of the host, with everything that must wait with
 * it.
 */

import { kindOf } from '../../core/id.ts';
import { requirements } from '../../core/order/graph.ts';
import type { Plan, Removal, Step } from '../../core/plan/plan.ts';
import type { Around, Doubt } from '../../core/provider.ts';
import type { Desired, Kind, ResourceId } from '../../core/types.ts';
import { AgentError, asAgentError } from '../../errors.ts';
import type { Run, Unobserved } from '../types.ts';
import { isWork } from './apply.ts';
import { workOf } from './carry-out.ts';

/** In addition, kinds and resources of which nobody can tell now. */
export interface Doubted extends Unobserved {
  /** The plan without the work, and without the removals, that wait. */
  plan: Plan;
}

/** @param plan made from what was observed */
export async function withDoubts(
  { providers, store, asked }: Pick<Run, 'providers' | 'store' | 'asked'>,
  plan: Plan,
  declared: ReadonlyMap<ResourceId, Desired>,
): Promise<Doubted> {
  const unreachable = new Map<Kind, AgentError>();
  const failed = new Map<ResourceId, AgentError>();
  if (asked.allowEmpty) return { plan, unreachable, failed };
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
    try {
      const found = (await providers.get(kind)?.doubts?.(steps.map(workOf), around)) ?? [];
      for (const [id, doubt] of found)
        if (doubt instanceof AgentError) failed.set(id, doubt);
        else doubts.set(id, doubt);
    } catch (thrown) {
      unreachable.set(kind, asAgentError(thrown, { code: 'ObserveFailed', phase: 'observe' }));
    }
  return { plan: doubts.size === 0 ? plan : held(plan, doubts), unreachable, failed };
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
    // A step without a difference has nothing to wait for.
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
