/** Inferred edges are never an error: one that would close a cycle is dropped and named. Pure. */
import { findCycle } from './graph.ts';
import type { Desired, ResourceId } from './types.ts';

/** An edge that nobody wrote, as `Drafts.add` was asked for it. */
export interface InferredEdge {
  id: ResourceId;
  edge: 'after' | 'notify' | 'reload';
  other: ResourceId;
}

/** The one that is applied first, and the one that follows it. */
const endsOf = ({ id, edge, other }: InferredEdge): [first: ResourceId, second: ResourceId] =>
  edge === 'after' ? [other, id] : [id, other];

/**
 * Takes inferred edges out until no cycle is left, or only one of written edges, which is an error that is reported elsewhere.
 * @param drafts are changed in place
 * @returns the dropped edges, each in a sentence
 */
export function breakCycles(drafts: Map<ResourceId, Desired>, inferred: readonly InferredEdge[]): string[] {
  const dropped: string[] = [];
  if (inferred.length === 0) return dropped;
  // What was inferred last is the least certain: names come after what kinds know of themselves.
  const left = new Set(inferred.toReversed());
  for (;;) {
    const cycle = findCycle([...drafts.values()]);
    if (cycle === null) return dropped;
    const pairs = new Set(cycle.slice(1).map((id, i) => `${cycle[i]} ${id}`));
    const found = [...left].filter((one) => pairs.has(endsOf(one).join(' ')));
    const [chosen] = found;
    if (chosen === undefined) return dropped;
    const [first, second] = endsOf(chosen);
    for (const one of found.filter((other) => endsOf(other).join(' ') === `${first} ${second}`)) {
      left.delete(one);
      const draft = drafts.get(one.id);
      if (draft === undefined) continue;
      const kept = (draft[one.edge] ?? []).filter((id) => id !== one.other);
      drafts.set(one.id, { ...draft, [one.edge]: kept });
    }
    dropped.push(
      `${second} names what ${first} provides, but is applied without waiting for it: that would close the cycle ${cycle.join(' → ')}`,
    );
  }
}
