/** The order in which steps become ready. Pure, apart from its own state. */
import { type KindTable, rankOf } from '../../core/kind.ts';
import type { Step } from '../../core/plan/plan.ts';
import type { ResourceId } from '../../core/types.ts';

/** Steps whose predecessors have ended, in the default order of their kinds, then in the plan's order. */
export function createQueue(
  kinds: KindTable,
  steps: readonly Step[],
  before: ReadonlyMap<ResourceId, ReadonlySet<ResourceId>>,
) {
  const byId = new Map(steps.map((s) => [s.want.id, s]));
  const open = new Map<ResourceId, number>();
  const followers = new Map<ResourceId, Step[]>();
  const ready: Step[][] = [];
  const push = (step: Step) => {
    const rank = rankOf(kinds, step.want.id);
    ready[rank] ??= [];
    ready[rank].push(step);
  };
  for (const step of steps) {
    const first = [...(before.get(step.want.id) ?? [])].filter((id) => byId.has(id));
    open.set(step.want.id, first.length);
    for (const id of first) {
      const known = followers.get(id);
      if (known) known.push(step);
      else followers.set(id, [step]);
    }
    if (first.length === 0) push(step);
  }
  return {
    /** The next ready step of the lowest kind, unless that kind is above `limit`. */
    next(limit: number): Step | undefined {
      const rank = ready.findIndex((steps) => steps !== undefined && steps.length > 0);
      return rank === -1 || rank > limit ? undefined : ready[rank]?.shift();
    },
    finished(id: ResourceId) {
      for (const step of followers.get(id) ?? []) {
        const left = (open.get(step.want.id) ?? 0) - 1;
        open.set(step.want.id, left);
        if (left === 0) push(step);
      }
    },
  };
}
