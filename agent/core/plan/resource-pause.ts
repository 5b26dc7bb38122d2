/** Pauses of single resources by a person, such as a database during its backup. Pure. */
import { requirements } from '../order/graph.ts';
import type { Desired, ResourceId } from '../types.ts';

/** The process whose end ends the pause. Its start time identifies it as well, because pids are reused. */
export interface Holder {
  pid: number;
  start: string;
}

export interface ResourcePause {
  id: ResourceId;
  /** ISO 8601; null: until `resume`, or until its holder ends. */
  until: string | null;
  reason: string;
  at: string;
  holder?: Holder;
}

/** The pauses that are not over. */
export const resourcePausesNow = (
  pauses: readonly ResourcePause[],
  now: Date,
  isAlive: (holder: Holder) => boolean,
): ResourcePause[] =>
  pauses.filter(
    ({ until, holder }) =>
      (until === null || Date.parse(until) > now.getTime()) && (holder === undefined || isAlive(holder)),
  );

export interface Paused {
  /** The paused resources and their dependents → why, as a sentence. */
  held: ReadonlyMap<ResourceId, string>;
  /** Resources that the paused ones need: they may be changed, but not replaced. */
  beneath: ReadonlySet<ResourceId>;
}

const NOBODY: Paused = { held: new Map(), beneath: new Set() };

export function pausedWith(pauses: readonly ResourcePause[], resources: readonly Desired[]): Paused {
  if (pauses.length === 0) return NOBODY;
  const needed = requirements(resources);
  const followers = new Map<ResourceId, ResourceId[]>();
  for (const [id, others] of needed)
    for (const other of others) followers.set(other, [...(followers.get(other) ?? []), id]);
  const held = new Map<ResourceId, string>();
  for (const { id, reason } of pauses) {
    const why = `${reason ? `: ${reason}` : ''}; \`fairlead resume ${id}\` ends that`;
    held.set(id, `is paused${why}`);
    // The loop also visits the elements that it appends.
    const dependents = [id];
    for (const one of dependents)
      for (const follower of followers.get(one) ?? [])
        if (!held.has(follower)) {
          held.set(follower, `depends on ${id}, which is paused${why}`);
          dependents.push(follower);
        }
  }
  const beneath = [...held.keys()].flatMap((id) => [...(needed.get(id) ?? [])]).filter((id) => !held.has(id));
  return { held, beneath: new Set(beneath) };
}
