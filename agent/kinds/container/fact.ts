/** A service as the Docker engine has it: all its containers, including those that an unfinished change left. */
import type { ServiceSpec } from '../../compose/stack/model.ts';
import type { ResourceId } from '../../core/types.ts';
import type { Clock } from '../../system/clock.ts';
import type { ContainerInfo, ContainerSummary, Docker, ImageConfig } from '../../system/docker/docker.ts';
import type { LookAtPlace } from '../../system/place.ts';
import type { Inspections } from '../docker/inspections.ts';
import { HASH, locate, NUMBER } from '../docker/labels.ts';
import type { Moves } from '../image/moves.ts';
import type { Listing } from './listing.ts';
import { type Candidate, isBegun, ownOf } from './mine.ts';
import type { Peer } from './request.ts';

/** One container of a service. */
export interface Replica {
  number: number;
  info: ContainerInfo;
  /** Configuration of its image; null if it is not needed, or the image is gone. */
  image: ImageConfig | null;
  /** Milliseconds since its last start; 0 while it does not run. */
  runningMs: number;
  /** Last lines of its output, if it is not well. */
  log: string;
  /** It ended because its engine was stopped or restarted. */
  interrupted: boolean;
}

export interface ServiceFact {
  /** By number, lowest first. */
  replicas: readonly Replica[];
  /** Containers that are set aside until their successors have proved themselves. */
  parked: readonly Replica[];
  /** Containers created beside one that will be replaced, and not in its place yet. */
  fresh: readonly Replica[];
  /** Containers with the labels of the service that do not belong to it. */
  strays: readonly Replica[];
  /** Numbers of removed containers that had ended by themselves under this declaration. */
  completed: ReadonlySet<number>;
  /**
   * Mount points at which its containers still see files that were replaced on the host since they started, for containers that
   * are not restarted for that.
   */
  outdated: readonly string[];
  /**
   * Mount points at which they see a directory that was deleted, although a new one exists at its path: they see nothing of the
   * new one.
   */
  detached: readonly string[];
  /**
   * The name of a container that somebody else, such as `docker compose up`, is about to put in place; null if there is none.
   */
  underway: string | null;
  /** Containers that did not become well and were replaced by those that had been set aside. */
  failed: readonly Replica[];
  /** Names of leftover hook containers of the service. */
  leftHooks: readonly string[];
  /** Containers whose image tag now resolves to a different image. */
  moves: Moves;
  /** Fields of a request that this Docker engine ignores. */
  discards: ReadonlySet<string>;
  /** The containers of the project by service. */
  peers: ReadonlyMap<string, Peer>;
}

/** The fact of a service without containers. */
export const NO_CONTAINERS: ServiceFact = {
  ...{ replicas: [], parked: [], fresh: [], failed: [], leftHooks: [], strays: [], completed: new Set() },
  ...{ outdated: [], detached: [], underway: null, moves: new Map(), discards: new Set(), peers: new Map() },
};

/** Suffixes of containers that are not their service's current ones. */
export const PARKED = '-fairlead-old';
export const FRESH = '-fairlead-new';
export const FAILED = '-fairlead-failed';

/** The form of an anonymous volume's name. */
export const ANONYMOUS = /^[0-9a-f]{64}$/;

/** One container of a service: the declaration with this container's name and number. Pure. */
export const memberOf = (spec: ServiceSpec, number: number): ServiceSpec => ({
  ...spec,
  number,
  containerName: spec.ownName ? spec.containerName : `${spec.project}-${spec.service}-${number}`,
});

/** Docker reports "never" as year 1. */
export const wasStarted = ({ State }: ContainerInfo): boolean => Date.parse(State.StartedAt) > 0;

export const nameOf = ({ Name }: ContainerInfo): string => Name.replace(/^\//, '');

/** State that is remembered between two observations. */
export interface Memory {
  /** Milliseconds since the containers of a service first were in this state. */
  since(id: ResourceId, look: string): number;
  /** Whether the service was created or adopted here. */
  isOwned(id: ResourceId): boolean;
  /** Ids of the containers that it had at the last observation. */
  containersOf(id: ResourceId): readonly string[];
  /** Numbers of its containers that ended by themselves. @param hash under this declaration; under any if it is left out */
  completedOf(id: ResourceId, hash?: string): readonly number[];
}

interface Look {
  docker: Docker;
  clock: Clock;
  /** Cached inspections; left out if everything must be inspected again. */
  inspections?: Inspections;
  listing: Listing;
  /** Lists the containers again. */
  relist(): Promise<Listing>;
  id: ResourceId;
  moves: Moves;
  /** See `ServiceFact`; left out if nothing is compared. */
  discards?: ReadonlySet<string>;
  /** Hash of the declaration, if there is one: a container that carries it needs no comparison with its image. */
  hash: string | undefined;
  /** The declaration, if there is one. */
  spec: ServiceSpec | undefined;
  memory: Memory;
  /** Paths that it mounts and whose change does not restart it; see `Desired`. */
  quiet?: readonly string[] | undefined;
  /** Mount points at which the container of this process sees replaced files; left out if nobody needs them. */
  replacedMounts?(pid: number): Promise<string[]>;
  lookAt?: LookAtPlace;
}

/** A change that somebody else began counts as abandoned after this time without progress. */
const UNDERWAY_MS = 15_000;

/**
 * Somebody may change containers between the list and the inspections, which would then show half of each state: the old
 * container stopped, and its replacement not there. More tries than these mean that containers change all the time.
 */
const MAX_LISTS = 4;

interface Members {
  listing: Listing;
  found: readonly Replica[];
}

/** The containers of one service, listed and inspected in the same state. */
async function membersOf(look: Look): Promise<Members> {
  const [project, service] = locate(look.id);
  let { listing } = look;
  for (let lists = 1; ; lists++) {
    const ours = [...listing.membersOf(project, service), ...unlabelled({ ...look, listing })];
    const found = await Promise.all(ours.map((c) => observeContainer(look, c.Id, c)));
    if (lists === MAX_LISTS || ours.every((c, i) => isAsListed(c, found[i])))
      return { listing, found: found.filter((r) => r !== undefined) };
    listing = await look.relist();
  }
}

const isAsListed = ({ State, Names }: ContainerSummary, replica: Replica | undefined): boolean =>
  replica !== undefined && replica.info.State.Status === State && Names.includes(`/${nameOf(replica.info)}`);

/** @returns undefined if it has no container */
export async function observeService(look: Look): Promise<ServiceFact | undefined> {
  const [project, service] = locate(look.id);
  const { spec, memory } = look;
  const { listing, found } = await membersOf(look);
  const all = found.toSorted((a, b) => a.number - b.number);
  const completed = new Set(look.hash === undefined ? [] : memory.completedOf(look.id, look.hash));
  if (all.length === 0 && completed.size === 0) return undefined;
  const named = (suffix: string) => all.filter((r) => nameOf(r.info).endsWith(suffix));
  const recorded = memory.containersOf(look.id);
  const { mine: main, strays } = ownOf(
    all.filter((r) => !hasAsideName(nameOf(r.info))),
    candidateOf,
    {
      ...(spec ? { nameOf: (number: number) => memberOf(spec, number).containerName } : {}),
      isRecorded: (id) => recorded.includes(id),
      isOwned: memory.isOwned(look.id),
    },
  );
  const begun = [...strays, ...main].find((r) => isBegun(candidateOf(r)));
  const looks = JSON.stringify(all.map(({ info }) => [info.Id, info.Name, info.State.Status]));
  const isUnderway = begun !== undefined && memory.since(look.id, looks) < UNDERWAY_MS;
  const taken = new Set(main.map((r) => r.number));
  // A container that was created beside another belongs to the service once that other is gone.
  const isBeside = (r: Replica) => taken.has(r.number);
  const alone = named(FRESH).filter((r) => !isBeside(r));
  return {
    replicas: [...main, ...alone].sort((a, b) => a.number - b.number),
    parked: named(PARKED),
    fresh: named(FRESH).filter(isBeside),
    failed: named(FAILED),
    strays,
    ...(await replacedBelow(look, main)),
    completed: new Set([...completed].filter((number) => !main.some((r) => r.number === number))),
    underway: isUnderway ? nameOf(begun.info) : null,
    leftHooks: listing.leftHooksOf(project, service).map((c) => (c.Names[0] ?? c.Id).replace(/^\//, '')),
    moves: look.moves,
    discards: look.discards ?? new Set(),
    peers: listing.peersOf(project),
  };
}

type Replaced = Pick<ServiceFact, 'outdated' | 'detached'>;

/** Leaves out a single file whose change restarts its service: the restart happens anyway. */
async function replacedBelow(look: Look, replicas: readonly Replica[]): Promise<Replaced> {
  const { quiet = [], spec, replacedMounts, lookAt } = look;
  const mounts = spec?.mounts.filter((m) => m.type === 'bind' || quiet.includes(m.source)) ?? [];
  if (mounts.length === 0 || replacedMounts === undefined) return { outdated: [], detached: [] };
  const running = replicas.filter(({ info }) => info.State.Pid > 0);
  const found = (await Promise.all(running.map(({ info }) => replacedMounts(info.State.Pid)))).flat();
  const outdated: string[] = [];
  const detached: string[] = [];
  for (const { source, target } of mounts.filter((m) => found.includes(m.target))) {
    if ((await lookAt?.(source))?.kind === 'directory') detached.push(target);
    else if (quiet.includes(source)) outdated.push(target);
  }
  return { outdated, detached };
}

/** Containers without labels of Compose that belong to the service by its declared name, or were adopted by that name. */
function unlabelled({ listing, spec, memory, id }: Look): ContainerSummary[] {
  const names = spec?.ownName ? ['', PARKED, FRESH, FAILED].map((suffix) => `${spec.containerName}${suffix}`) : [];
  const found = [...names, ...memory.containersOf(id)].flatMap((ref) => listing.unlabelled(ref) ?? []);
  return [...new Set(found)];
}

const candidateOf = ({ info }: Replica): Candidate => ({
  id: info.Id,
  name: nameOf(info),
  status: info.State.Status,
  labels: info.Config.Labels ?? {},
});

export const hasAsideName = (name: string): boolean => [PARKED, FRESH, FAILED].some((suffix) => name.endsWith(suffix));

/** A start in the future means that the clock was set back since: nothing waits for that date. */
const ageOf = (ms: number): number => (ms < -1_000 ? Number.POSITIVE_INFINITY : Math.max(0, ms));

/**
 * @param listed the container's entry in the list of containers, if there is one
 * @returns undefined if there is no such container
 */
export async function observeContainer(
  { docker, clock, hash, inspections }: Pick<Look, 'docker' | 'clock' | 'hash' | 'inspections'>,
  id: string,
  listed?: ContainerSummary,
): Promise<Replica | undefined> {
  const info = await (inspections && listed ? inspections.inspect(listed, docker.inspect) : docker.inspect(id));
  if (info === undefined) return undefined;
  const { State: state, Config: config } = info;
  const runningMs = state.Running ? ageOf(clock.now().getTime() - Date.parse(state.StartedAt)) : 0;
  const unwell = state.Restarting || (!state.Running && state.ExitCode !== 0) || state.Health?.Status === 'unhealthy';
  const known = hash === undefined || config.Labels?.[HASH] === hash;
  return {
    number: Number(config.Labels?.[NUMBER]) || 1,
    info,
    image: known ? null : ((await docker.image(info.Image))?.config ?? null),
    runningMs,
    log: unwell ? await docker.logTail(info.Id) : '',
    interrupted: !state.Running && (inspections?.endedByEngine(info) ?? false),
  };
}

export const stateOf = (info: ContainerInfo): string =>
  info.State.Status === 'exited' ? `exited (${info.State.ExitCode})` : info.State.Status;

/** Whether Docker has made all starts that the restart policy allows: another start would contradict the declaration. */
export const isGivenUp = ({ info, interrupted }: Replica): boolean => {
  const { Name, MaximumRetryCount: limit = 0 } = info.HostConfig.RestartPolicy ?? {};
  const hasFailed = info.State.Status === 'exited' && info.State.ExitCode !== 0 && !interrupted;
  return Name === 'on-failure' && limit > 0 && hasFailed && (info.RestartCount ?? 0) >= limit;
};

/** Whether it ended by itself: a container that its engine stopped is not done, whatever its exit code. */
export const isCompleted = (spec: ServiceSpec, { info, interrupted }: Replica): boolean =>
  !interrupted &&
  info.State.Status === 'exited' &&
  info.State.ExitCode === 0 &&
  (spec.restart.name === 'no' || spec.restart.name === 'on-failure');
