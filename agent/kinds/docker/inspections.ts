/** Caches inspections of containers as long as Docker's events report no change. */
import type { ContainerInfo, ContainerSummary, Docker } from '../../system/docker/docker.ts';

export interface Inspections {
  /** The cached inspection of a container, or a new one from `ask`. undefined if it is gone. */
  inspect(
    container: ContainerSummary,
    ask: (id: string) => Promise<ContainerInfo | undefined>,
  ): Promise<ContainerInfo | undefined>;
  /** Something happened to a container. */
  touched(id: string): void;
  /** Docker was told to stop a container, or stops it because Docker itself stops. */
  stopped(id: string): void;
  /** Whether a container ended because its engine was stopped or restarted. */
  endedByEngine(container: Pick<ContainerInfo, 'Id' | 'State'>): boolean;
  /** Whether events arrive from now on. Without them nothing is cached. */
  listening(yes: boolean): void;
}

/** Inspect a container again at least this often, even without events. */
const MAX_AGE_MS = 600_000;

/** A stopping engine gives its containers time to end before it stops sending events. */
const STOPPING_MS = 30_000;
const STARTING_MS = 2_000;
/** At a shutdown of the host, the agent is stopped first and its engine within this time, because systemd waits no longer. */
const GOING_DOWN_MS = 120_000;

/** A period of Docker's clock, in milliseconds. */
export interface Span {
  from: number;
  to: number;
}

/**
 * The period in which containers ended because the host was shut down after the agent.
 * @param left when the agent was stopped, if it was
 * @param engineMs since when Docker's socket exists
 */
export const hostWasDown = (left: number | undefined, engineMs: number | null): Span | null =>
  left === undefined || engineMs === null || engineMs <= left
    ? null
    : { from: left, to: Math.min(left + GOING_DOWN_MS, engineMs) };

/** @param now monotonic, milliseconds @param date of Docker's clock, milliseconds @param down see `hostWasDown` */
export function createInspections(
  now: () => number,
  date: () => number = Date.now,
  down: Span | null = null,
): Inspections {
  let heard = false;
  /** The last time that Docker was down, according to its events. */
  let away: Span = { from: Number.POSITIVE_INFINITY, to: Number.POSITIVE_INFINITY };
  /** Container → when it was told to stop, shortly before Docker stopped sending events. */
  const stops = new Map<string, number>();
  const kept = new Map<string, { listed: ContainerSummary; at: number; info: ContainerInfo }>();
  /** Current inspections whose result is not outdated yet. */
  const asking = new Map<string, object>();
  return {
    async inspect(container, ask) {
      const { Id: id } = container;
      const found = kept.get(id);
      const at = now();
      if (found && at - found.at <= MAX_AGE_MS && looksTheSame(found.listed, container)) {
        found.listed = container;
        return found.info;
      }
      const turn = {};
      asking.set(id, turn);
      const info = await ask(id);
      const quiet = asking.get(id) === turn && asking.delete(id);
      if (heard && quiet && info && isSteady(info)) kept.set(id, { listed: container, at, info });
      else kept.delete(id);
      return info;
    },
    touched(id) {
      kept.delete(id);
      asking.delete(id);
    },
    stopped(id) {
      for (const [other, at] of stops) if (at < date() - STOPPING_MS) stops.delete(other);
      stops.set(id, date());
    },
    endedByEngine({ Id: id, State: state }) {
      const ended = Date.parse(state.FinishedAt);
      const isIn = ({ from, to }: Span) => ended >= from && ended <= to;
      if (down && isIn(down)) return true;
      // A container with exit code 0 may have ended by itself at that moment, unless it was told to stop.
      return isIn(away) && (state.ExitCode !== 0 || stops.has(id));
    },
    listening(yes) {
      if (heard && !yes) away = { from: date() - STOPPING_MS, to: Number.POSITIVE_INFINITY };
      if (yes && away.to === Number.POSITIVE_INFINITY) away = { ...away, to: date() + STARTING_MS };
      heard = yes;
      kept.clear();
      asking.clear();
    },
  };
}

/** A container that is as it should be can be cached until an event arrives; others are inspected each time. */
const isSteady = ({ State }: ContainerInfo): boolean =>
  State.Running && [undefined, 'none', 'healthy'].includes(State.Health?.Status);

/** Mostly the list is the same object as before, and so are its entries. */
const looksTheSame = (a: ContainerSummary, b: ContainerSummary): boolean => a === b || keyOf(a) === keyOf(b);

/** The listed properties of a container, without those that change with time. */
const keyOf = (c: ContainerSummary): string =>
  JSON.stringify([
    c.Names,
    c.State,
    // Status looks like "Up 5 minutes (healthy)"; only the part in brackets is kept.
    /\(.*\)/.exec(c.Status)?.[0],
    c.Image,
    c.ImageID,
    c.Labels,
    c.NetworkSettings,
    c.Mounts,
  ]);

/** A driver that reports our own actions on a container, because their events may arrive after the next observation. */
export function telling(docker: Docker, { touched }: Inspections): Docker {
  const around = async <T>(id: string, act: () => Promise<T>): Promise<T> => {
    touched(id);
    try {
      return await act();
    } finally {
      touched(id);
    }
  };
  return {
    ...docker,
    start: (id) => around(id, () => docker.start(id)),
    stop: (id, grace) => around(id, () => docker.stop(id, grace)),
    restart: (id, grace) => around(id, () => docker.restart(id, grace)),
    update: (id, settings) => around(id, () => docker.update(id, settings)),
    rename: (id, name) => around(id, () => docker.rename(id, name)),
    remove: (id, volumes) => around(id, () => docker.remove(id, volumes)),
    connect: (network, id, endpoint) => around(id, () => docker.connect(network, id, endpoint)),
    disconnect: (network, id) => around(id, () => docker.disconnect(network, id)),
  };
}
