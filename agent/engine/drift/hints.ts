/**
 * Collects hints of drift: a burst becomes one run, and a resource that keeps drifting is observed less and less often, so that
 * it does not slow down the others.
 */
import type { ResourceId } from '../../core/types.ts';

/** The result of observing a hinted resource. */
export interface Finding {
  /**
   * `still`: nothing was repaired, because nothing had drifted. `repaired`: it had drifted and was repaired. `failing`: the
   * repair failed, or did not make it well.
   */
  outcome: 'still' | 'repaired' | 'failing';
  /** It is progressing, so it is observed again soon. */
  waiting: boolean;
}

export interface Contention {
  id: ResourceId;
  /** Repairs, successful or not, since it started to drift repeatedly. */
  count: number;
  /** Milliseconds until it is observed again. */
  waitMs: number;
}

export interface HintsOptions {
  /** Requests a run for these resources. */
  deliver(ids: readonly ResourceId[]): void;
  /** Monotonic, in ms. */
  now(): number;
  /** This resource keeps drifting; called once until it has been quiet. */
  contended(contention: Contention): void;
  /** It has been quiet for long enough. */
  calmed(id: ResourceId, count: number): void;
}

export interface Hints {
  hint(id: ResourceId): void;
  found(findings: ReadonlyMap<ResourceId, Finding>): void;
  /** Forgets all other resources, because they are no longer managed. */
  keep(managed: { has(id: ResourceId): boolean }): void;
  /** The resources that are backed off now. */
  contentions(): Contention[];
  stop(): void;
}

/**
 * Changes come in bursts (an editor's rename, a container's stop). A run starts this long after the last one, at most
 * `BURST_MS` after the first. Milliseconds.
 */
const QUIET_MS = 50;
const BURST_MS = 250;
/** Twenty repairs in a row count as contention; failed ones weigh more. One is forgiven every six seconds. */
const FIGHT = 20;
const WEIGHT: Record<Finding['outcome'], number> = { still: 0, repaired: 1, failing: 4 };
const FORGIVE_MS = 6_000;
const FIRST_WAIT_MS = 1_000;
const LAST_WAIT_MS = 300_000;
/** Runs that find nothing are cheap, but a resource that is hinted all the time gets at most this many of them. */
const IDLE_LOOKS = 20;
const IDLE_FORGIVE_MS = 2_000;
const IDLE_WAIT_MS = 2_000;
/** A progressing resource is observed again after this time, then after twice as long, and so on. */
const FOLLOW_MS = 1_000;
const LAST_FOLLOW_MS = 10_000;

interface Track {
  /** Leaky buckets: `heat` counts repairs, `idle` counts runs that found nothing. */
  heat: number;
  idle: number;
  at: number;
  count: number;
  fighting: boolean;
  waitMs: number;
  /** It is not observed before this time. */
  until: number;
  followMs: number;
  /** When it is due to be observed again; 0 if it is not progressing. */
  followAt: number;
}

export function createHints(options: HintsOptions): Hints {
  const tracks = new Map<ResourceId, Track>();
  /** Resources hinted just now; one run observes them together. */
  const burst = new Set<ResourceId>();
  let firstAt = 0;
  let burstAt = Number.POSITIVE_INFINITY;
  /** Id → time of the next observation, because it is backed off or progressing. */
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
    // The level stays up during contention: a longer wait must not lower it.
    track.heat = FIGHT;
    track.waitMs = track.fighting ? Math.min(track.waitMs * 2, LAST_WAIT_MS) : FIRST_WAIT_MS;
    track.until = options.now() + track.waitMs;
    const fresh = !track.fighting;
    track.fighting = true;
    if (fresh) options.contended({ id, count: track.count, waitMs: track.waitMs });
  };

  const calm = (id: ResourceId, track: Track) => {
    // It was quiet for a whole further wait after the last one ended, so the contention is over.
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
      // An observation in between, caused by a hint, does not lengthen the pauses.
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
      // Called for every status, so it does not copy the tracks, which may cover all managed resources.
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
