/**
 * Hints of drift on their way to the loop: a burst becomes one look, and what keeps drifting is looked at less and less
 * often, so that it takes nothing from the rest.
 */
import type { ResourceId } from '../../core/types.ts';

/** What a look at a resource came to. */
export interface Finding {
  /** Nothing was put right, since nothing had drifted; or it had and was put right; or it could not be, or is not well for all that. */
  outcome: 'still' | 'repaired' | 'failing';
  /** It is on its way: worth another look soon. */
  waiting: boolean;
}

export interface Contention {
  id: ResourceId;
  /** Repairs, done or tried, since it began to drift again and again. */
  count: number;
  /** Milliseconds until it is looked at again. */
  waitMs: number;
}

export interface HintsOptions {
  /** These are to be looked at now. */
  deliver(ids: readonly ResourceId[]): void;
  /** Monotonic, in ms. */
  now(): number;
  /** This resource keeps drifting; told once until it has been quiet. */
  contended(contention: Contention): void;
  /** It has been quiet for long enough. */
  calmed(id: ResourceId, count: number): void;
}

export interface Hints {
  hint(id: ResourceId): void;
  found(findings: ReadonlyMap<ResourceId, Finding>): void;
  /** All others are managed no more, and nobody can fight for them. */
  keep(managed: { has(id: ResourceId): boolean }): void;
  /** What is backed off now. */
  contentions(): Contention[];
  stop(): void;
}

/** Changes come in bursts (an editor's rename, a container's stop); the look follows the last, within a bound from the first. */
const QUIET_MS = 50;
const BURST_MS = 250;
/** Twenty repairs in a row are a fight; failed ones weigh more. One is forgiven every six seconds. */
const FIGHT = 20;
const WEIGHT: Record<Finding['outcome'], number> = { still: 0, repaired: 1, failing: 4 };
const FORGIVE_MS = 6_000;
const FIRST_WAIT_MS = 1_000;
const LAST_WAIT_MS = 300_000;
/** Looks that find nothing are cheap, but a resource that is hinted all the time gets no more than this of them. */
const IDLE_LOOKS = 20;
const IDLE_FORGIVE_MS = 2_000;
const IDLE_WAIT_MS = 2_000;
/** Something that is on its way is looked at again after this, then twice as long, … */
const FOLLOW_MS = 1_000;
const LAST_FOLLOW_MS = 10_000;

interface Track {
  /** Leaky buckets: repairs, and looks in vain. */
  heat: number;
  idle: number;
  at: number;
  count: number;
  fighting: boolean;
  waitMs: number;
  /** Not looked at before. */
  until: number;
  followMs: number;
  /** When it was to be looked at again; 0 while it is not on its way. */
  followAt: number;
}

export function createHints(options: HintsOptions): Hints {
  const tracks = new Map<ResourceId, Track>();
  /** Hinted just now; they are looked at together. */
  const burst = new Set<ResourceId>();
  let firstAt = 0;
  let burstAt = Number.POSITIVE_INFINITY;
  /** Id → when it is to be looked at: backed off, or to be followed. */
  const later = new Map<ResourceId, number>();
  let laterAt = Number.POSITIVE_INFINITY;
  let timer: NodeJS.Timeout | null = null;
  let stopped = false;

  const arm = () => {
    if (timer) clearTimeout(timer);
    timer = null;
    const soonest = Math.min(burstAt, laterAt);
    if (stopped || soonest === Number.POSITIVE_INFINITY) return;
    timer = setTimeout(flush, Math.max(0, soonest - options.now()));
    timer.unref();
  };

  const postpone = (id: ResourceId, at: number) => {
    later.set(id, at);
    laterAt = Math.min(laterAt, at);
  };

  const flush = () => {
    const now = options.now();
    const ready = new Set(burstAt <= now ? burst : []);
    for (const [id, at] of later) if (at <= now) ready.add(id);
    for (const id of ready) {
      later.delete(id);
      burst.delete(id);
    }
    if (burst.size === 0) burstAt = Number.POSITIVE_INFINITY;
    laterAt = Math.min(Number.POSITIVE_INFINITY, ...later.values());
    for (const id of tracks.keys()) {
      const track = trackOf(id);
      calm(id, track);
      if (track.heat + track.idle === 0 && !track.fighting && track.until <= now && !ready.has(id) && !later.has(id))
        tracks.delete(id);
    }
    if (ready.size > 0) options.deliver([...ready]);
    arm();
  };

  const trackOf = (id: ResourceId): Track => {
    const now = options.now();
    const track = tracks.get(id) ?? {
      ...{
        heat: 0,
        idle: 0,
        at: now,
        count: 0,
        fighting: false,
        waitMs: 0,
        until: 0,
        followMs: FOLLOW_MS,
        followAt: 0,
      },
    };
    const passed = now - track.at;
    track.heat = Math.max(0, track.heat - passed / FORGIVE_MS);
    track.idle = Math.max(0, track.idle - passed / IDLE_FORGIVE_MS);
    track.at = now;
    tracks.set(id, track);
    return track;
  };

  const strike = (id: ResourceId, track: Track, weight: number) => {
    track.heat += weight;
    track.count += 1;
    if (track.heat < FIGHT && !track.fighting) return;
    // The level stays up while the fight goes on: a wait that grows must not cool it.
    track.heat = FIGHT;
    track.waitMs = track.fighting ? Math.min(track.waitMs * 2, LAST_WAIT_MS) : FIRST_WAIT_MS;
    track.until = options.now() + track.waitMs;
    const fresh = !track.fighting;
    track.fighting = true;
    if (fresh) options.contended({ id, count: track.count, waitMs: track.waitMs });
  };

  const calm = (id: ResourceId, track: Track) => {
    // Quiet for a whole further wait after the last one ended: the fight is over.
    if (track.fighting && options.now() - track.until > Math.max(track.waitMs, FORGIVE_MS)) {
      track.fighting = false;
      options.calmed(id, track.count);
    }
    if (!track.fighting && track.heat === 0) track.count = 0;
  };

  const follow = (id: ResourceId, track: Track, waiting: boolean) => {
    const now = options.now();
    if (!waiting) [track.followMs, track.followAt] = [FOLLOW_MS, 0];
    else if (!later.has(id)) {
      // A look that a hint asked for in between makes the pauses no longer.
      if (track.followAt > 0 && now >= track.followAt) track.followMs = Math.min(track.followMs * 2, LAST_FOLLOW_MS);
      track.followAt = now + track.followMs;
      postpone(id, Math.max(track.followAt, track.until));
    }
  };

  return {
    hint(id) {
      if (stopped) return;
      const now = options.now();
      const track = trackOf(id);
      calm(id, track);
      if (track.until > now + QUIET_MS) postpone(id, track.until);
      else {
        if (burst.size === 0) firstAt = now;
        burst.add(id);
        burstAt = Math.min(now + QUIET_MS, firstAt + BURST_MS);
      }
      arm();
    },
    found(findings) {
      for (const [id, { outcome, waiting }] of findings) {
        const track = trackOf(id);
        if (outcome !== 'still') strike(id, track, WEIGHT[outcome]);
        else if (!waiting) {
          track.idle += 1;
          if (track.idle > IDLE_LOOKS) track.until = Math.max(track.until, options.now() + IDLE_WAIT_MS);
        }
        follow(id, track, waiting);
      }
      arm();
    },
    keep(managed) {
      for (const id of tracks.keys()) if (!managed.has(id)) tracks.delete(id);
      for (const id of later.keys()) if (!managed.has(id)) later.delete(id);
      for (const id of burst) if (!managed.has(id)) burst.delete(id);
    },
    contentions() {
      // Asked at every status, while all that is managed may have a track.
      const fighting: Contention[] = [];
      for (const id of tracks.keys()) {
        const track = tracks.get(id);
        if (track?.fighting)
          fighting.push({ id, count: track.count, waitMs: Math.max(0, track.until - options.now()) });
      }
      return fighting;
    },
    stop() {
      stopped = true;
      if (timer) clearTimeout(timer);
    },
  };
}
