/** Inferred edges are never an error: one that would close a cycle is dropped and reported. Pure. */

import type { Desired, ResourceId } from '../types.ts';
import { findCycle } from './graph.ts';

/** An edge that no manifest contains, with the arguments of `Drafts.add`. */
export interface InferredEdge {
  id: ResourceId;
  edge: 'after' | 'notify' | 'reload';
  other: ResourceId;
}

/** The resource that is applied first, and the one that follows it. */
const endsOf = ({ id, edge, other }: InferredEdge): [first: ResourceId, second: ResourceId] =>
  edge === 'after' ? [other, id] : [id, other];

/**
 * Drops inferred edges until no cycle is left, or only cycles of written edges, which are reported elsewhere as errors.
 * @param drafts are changed in place
 * @returns the dropped edges, each as a sentence
 */
export function breakCycles(drafts: Map<ResourceId, Desired>, inferred: readonly InferredEdge[]): string[] {
  const dropped: string[] = [];
  if (inferred.length === 0) return dropped;
  // The edge that was inferred last is the least certain: edges by name come after the edges that a kind adds by itself.
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
