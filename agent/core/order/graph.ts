/** Order of resources. Pure. */
import { type KindTable, rankOf } from '../kind.ts';
import type { Desired, ResourceId } from '../types.ts';

/** Id → ids that are applied before it: `after`, `notify` and `reload` are all edges; ids that are not declared are ignored. */
export function predecessors(resources: readonly Desired[]): Map<ResourceId, Set<ResourceId>> {
  const before = new Map<ResourceId, Set<ResourceId>>(resources.map((r) => [r.id, new Set()]));
  for (const resource of resources) {
    for (const id of resource.after) if (id !== resource.id && before.has(id)) before.get(resource.id)?.add(id);
    for (const id of [...resource.notify, ...(resource.reload ?? [])])
      if (id !== resource.id) before.get(id)?.add(resource.id);
  }
  return before;
}

/** Resources in dependency order. Ties are broken by the default order, then by id, so that the result is deterministic. */
export function inOrder(kinds: KindTable, desired: readonly Desired[]): Desired[] {
  const before = predecessors(desired);
  const left = new Map(
    [...desired]
      .sort((a, b) => rankOf(kinds, a.id) - rankOf(kinds, b.id) || (a.id < b.id ? -1 : 1))
      .map((d) => [d.id, d]),
  );
  const ordered: Desired[] = [];
  while (left.size > 0) {
    const free = [...left.values()].filter((d) => [...(before.get(d.id) ?? [])].every((id) => !left.has(id)));
    // A cycle is reported as an issue before planning; this only must not hang.
    for (const d of free.length > 0 ? free : [...left.values()]) {
      ordered.push(d);
      left.delete(d.id);
    }
  }
  return ordered;
}

/** Id → ids that must have succeeded before it. */
export function requirements(resources: readonly Desired[]): Map<ResourceId, Set<ResourceId>> {
  const before = predecessors(resources);
  for (const { id, optional = [] } of resources) for (const other of optional) before.get(id)?.delete(other);
  return before;
}

/** These resources and all that they need, directly or indirectly. @param needed see `requirements` */
export function withNeeded(
  ids: Iterable<ResourceId>,
  needed: ReadonlyMap<ResourceId, ReadonlySet<ResourceId>>,
): Set<ResourceId> {
  const all = new Set(ids);
  // The loop also visits the members that it adds.
  for (const id of all) for (const other of needed.get(id) ?? []) all.add(other);
  return all;
}

/** A dependency cycle, as the ids along it (first = last), or null. */
export function findCycle(resources: readonly Desired[]): ResourceId[] | null {
  const before = predecessors(resources);
  const finished = new Set<ResourceId>();
  for (const start of before.keys()) {
    if (finished.has(start)) continue;
    const path: { id: ResourceId; rest: ResourceId[] }[] = [{ id: start, rest: [...(before.get(start) ?? [])] }];
    const onPath = new Set<ResourceId>([start]);
    while (path.length > 0) {
      const top = path[path.length - 1];
      const next = top?.rest.pop();
      if (top === undefined) break;
      if (next === undefined) {
        finished.add(top.id);
        onPath.delete(top.id);
        path.pop();
      } else if (onPath.has(next)) {
        const ids = path.map((p) => p.id);
        return [...ids.slice(ids.indexOf(next)), next].reverse();
      } else if (!finished.has(next)) {
        onPath.add(next);
        path.push({ id: next, rest: [...(before.get(next) ?? [])] });
      }
    }
  }
  return null;
}

/**
 * Removal order: the default order backwards, contents before their container, and dependents before what they depend on.
 * @param needs id → what it came after when it was last declared; ids that are not removed are ignored
 */
export function removalOrder(
  kinds: KindTable,
  ids: readonly ResourceId[],
  needs: ReadonlyMap<ResourceId, readonly ResourceId[]> = new Map(),
): ResourceId[] {
  const users = new Map<ResourceId, ResourceId[]>(ids.map((id) => [id, []]));
  for (const id of ids) for (const other of needs.get(id) ?? []) users.get(other)?.push(id);
  const byDefault = (a: ResourceId, b: ResourceId) => rankOf(kinds, b) - rankOf(kinds, a) || (a < b ? 1 : -1);
  const ordered = new Set<ResourceId>();
  const begun = new Set<ResourceId>();
  const visit = (id: ResourceId) => {
    // Edges of several commits may form a cycle; then the default order decides.
    if (begun.has(id)) return;
    begun.add(id);
    for (const user of (users.get(id) ?? []).sort(byDefault)) visit(user);
    ordered.add(id);
  };
  for (const id of [...ids].sort(byDefault)) visit(id);
  return [...ordered];
}
