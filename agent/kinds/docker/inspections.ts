/** What the engine said of its containers, for as long as its events say that nothing changed since. */
import type { ContainerInfo, ContainerSummary, Docker } from '../../system/docker/docker.ts';

export interface Inspections {
  /** A container: as it was inspected before, or as `ask` inspects it now. undefined where it is gone. */
  inspect(
    container: ContainerSummary,
    ask: (id: string) => Promise<ContainerInfo | undefined>,
  ): Promise<ContainerInfo | undefined>;
  /** Something happens to a container. */
  touched(id: string): void;
  /** An engine was told to stop a container, or stops it because it stops itself. */
  stopped(id: string): void;
  /** Whether a container that does not run ended because its engine was stopped or started again. */
  endedByEngine(container: Pick<ContainerInfo, 'Id' | 'State'>): boolean;
  /** Whether events are heard from now on. Without them nothing is kept. */
  listening(yes: boolean): void;
}

/** As rarely as a container is inspected although nothing was heard of it. */
const MAX_AGE_MS = 600_000;

/** An engine that stops gives its containers time to end before it says nothing any more. */
const STOPPING_MS = 30_000;
const STARTING_MS = 2_000;
/** A host that goes down stops the agent first, and its engine within this time: systemd waits no longer for anything. */
const GOING_DOWN_MS = 120_000;

/** Milliseconds of the engine's clock. */
export interface Span {
  from: number;
  to: number;
}

/**
 * When containers ended because the host went down, and the agent before them.
 * @param left when the agent was stopped, where it was; @param engineMs since when the engine's socket is there
 */
export const hostWasDown = (left: number | undefined, engineMs: number | null): Span | null =>
  left === undefined || engineMs === null || engineMs <= left
    ? null
    : { from: left, to: Math.min(left + GOING_DOWN_MS, engineMs) };

/** @param now monotonic, milliseconds @param date of the engine's clock, milliseconds @param down see `hostWasDown` */
export function createInspections(
  now: () => number,
  date: () => number = Date.now,
  down: Span | null = null,
): Inspections {
  let heard = false;
  /** The last time that the engine was away, as far as its events tell. */
  let away: Span = { from: Number.POSITIVE_INFINITY, to: Number.POSITIVE_INFINITY };
  /** Container → when it was told to stop, shortly before the engine said nothing any more. */
  const stops = new Map<string, number>();
  const kept = new Map<string, { listed: ContainerSummary; at: number; info: ContainerInfo }>();
  /** Inspections under way that nothing has outdated yet. */
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
      // What ends with 0 may have come to its end by itself just then: but nobody told that one to stop.
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

/** Only what is as it should be stays so until it is told; the rest is worth a look each time. */
const isSteady = ({ State }: ContainerInfo): boolean =>
  State.Running && [undefined, 'none', 'healthy'].includes(State.Health?.Status);

/** Mostly the list is the very one of before, and so is what it tells of each. */
const looksTheSame = (a: ContainerSummary, b: ContainerSummary): boolean => a === b || keyOf(a) === keyOf(b);

/** What the list of containers tells of one, but for the time that passes. */
const keyOf = (c: ContainerSummary): string =>
  JSON.stringify([
    c.Names,
    c.State,
    // "Up 5 minutes (healthy)"
    /\(.*\)/.exec(c.Status)?.[0],
    c.Image,
    c.ImageID,
    c.Labels,
    c.NetworkSettings,
    c.Mounts,
  ]);

/** The driver, telling of what we do to a container: its event may come later than our next look. */
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
