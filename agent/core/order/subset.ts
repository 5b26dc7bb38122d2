/** Which resources must be observed together with some that may have drifted. Pure. */
import { type KindTable, traitsOf } from '../kind.ts';
import type { Desired, ResourceId } from '../types.ts';

/**
 * The hinted resources that are declared, all that they notify (transitively), and their neighbours: what they come after, and
 * what comes after them. With these, the plan for this part is the same as in a plan for the whole.
 */
export function affected(kinds: KindTable, resources: readonly Desired[], hinted: ReadonlySet<ResourceId>): Desired[] {
  const byId = new Map(resources.map((r) => [r.id, r]));
  const chosen = new Set<ResourceId>();
  const queue = [...hinted].filter((id) => byId.has(id));
  for (let id = queue.pop(); id !== undefined; id = queue.pop()) {
    if (chosen.has(id)) continue;
    chosen.add(id);
    queue.push(...targetsOf(byId.get(id)).filter((target) => byId.has(target)));
  }
  const before = new Set([...chosen].flatMap((id) => byId.get(id)?.after ?? []));
  const isCheap = ({ id }: Desired) => traitsOf(kinds, id).observing === 'free';
  return resources.filter(
    (r) => chosen.has(r.id) || (isCheap(r) && (before.has(r.id) || r.after.some((id) => chosen.has(id)))),
  );
}

const targetsOf = (resource: Desired | undefined): readonly ResourceId[] => [
  ...(resource?.notify ?? []),
  ...(resource?.reload ?? []),
];
