/** Single resources that a person holds as they are, such as a database while its backup runs. Pure. */
import { requirements } from './graph.ts';
import type { Desired, ResourceId } from './types.ts';

/** A process for as long as which something holds; by its start as well, since numbers come again. */
export interface Holder {
  pid: number;
  start: string;
}

export interface ResourcePause {
  id: ResourceId;
  /** ISO 8601; null until `resume`, or until its holder has ended. */
  until: string | null;
  reason: string;
  at: string;
  holder?: Holder;
}

/** Those that are not over. */
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
  /** What is held, and what depends on it → why, in a sentence. */
  held: ReadonlyMap<ResourceId, string>;
  /** What these need: it may be changed, and not be replaced beneath them. */
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
    // A list that grows while it is walked is walked to its end.
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
