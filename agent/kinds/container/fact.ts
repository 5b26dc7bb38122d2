/** A service as the engine has it: all its containers, also those that an unfinished change left. */
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
  /** What its image says; null where that is not needed, or the image is gone. */
  image: ImageConfig | null;
  /** Milliseconds since its last start; 0 while it does not run. */
  runningMs: number;
  /** Last lines of its output, where it is not well. */
  log: string;
  /** It ended because its engine was stopped or started again. */
  interrupted: boolean;
}

export interface ServiceFact {
  /** By number, lowest first. */
  replicas: readonly Replica[];
  /** Set aside until those that came in their place have proved themselves. */
  parked: readonly Replica[];
  /** Made beside a container that is to go, and not in its place yet. */
  fresh: readonly Replica[];
  /** They have the labels of the service, and are none of its containers. */
  strays: readonly Replica[];
  /** Numbers of containers that are gone, after they had come to their end by themselves under this very declaration. */
  completed: ReadonlySet<number>;
  /** Where its containers see files that were replaced on the host since they were started, and for which they are not restarted. */
  outdated: readonly string[];
  /** Where they see a directory that is gone, although another one lies at its path by now: whatever is in that one, they see nothing of it. */
  detached: readonly string[];
  /** Somebody else, such as `docker compose up`, is about to put this container in place: its name; null where that is not so. */
  underway: string | null;
  /** Did not become well, and went back behind those that had been set aside. */
  failed: readonly Replica[];
  /** Names of containers in which something was to be run for it, and that were left behind. */
  leftHooks: readonly string[];
  /** Of which containers the image is another one by now. */
  moves: Moves;
  /** Fields of a request that this engine drops. */
  discards: ReadonlySet<string>;
  /** The containers of the project by service. */
  peers: ReadonlyMap<string, Peer>;
}

/** A service without any container. */
export const NO_CONTAINERS: ServiceFact = {
  ...{ replicas: [], parked: [], fresh: [], failed: [], leftHooks: [], strays: [], completed: new Set() },
  ...{ outdated: [], detached: [], underway: null, moves: new Map(), discards: new Set(), peers: new Map() },
};

/** Names of containers that are not what their service is known by. */
export const PARKED = '-fairlead-old';
export const FRESH = '-fairlead-new';
export const FAILED = '-fairlead-failed';

/** The name that an engine gives to a volume that nobody named. */
export const ANONYMOUS = /^[0-9a-f]{64}$/;

/** One of the containers of a service: its declaration with the name and number of its own. Pure. */
export const memberOf = (spec: ServiceSpec, number: number): ServiceSpec => ({
  ...spec,
  number,
  containerName: spec.ownName ? spec.containerName : `${spec.project}-${spec.service}-${number}`,
});

/** An engine dates what never was to the year 1. */
export const wasStarted = ({ State }: ContainerInfo): boolean => Date.parse(State.StartedAt) > 0;

export const nameOf = ({ Name }: ContainerInfo): string => Name.replace(/^\//, '');

/** What must be remembered from one look to the next. */
export interface Memory {
  /** Milliseconds since the containers of a service first looked like this. */
  since(id: ResourceId, look: string): number;
  /** The service was created or adopted here. */
  isOwned(id: ResourceId): boolean;
  /** Ids of the containers that it had the last time. */
  containersOf(id: ResourceId): readonly string[];
  /** Numbers of its containers that came to their end by themselves. @param hash under this declaration; any where it is left out */
  completedOf(id: ResourceId, hash?: string): readonly number[];
}

interface Look {
  docker: Docker;
  clock: Clock;
  /** What need not be asked again; left out where all must be. */
  inspections?: Inspections;
  listing: Listing;
  id: ResourceId;
  moves: Moves;
  /** See `ServiceFact`; left out where nothing is compared. */
  discards?: ReadonlySet<string>;
  /** Hash of the declaration, where there is one: a container that carries it needs no comparison with its image. */
  hash: string | undefined;
  /** The declaration, where there is one. */
  spec: ServiceSpec | undefined;
  memory: Memory;
  /** Paths that it mounts and whose change does not restart it; see `Desired`. */
  quiet?: readonly string[] | undefined;
  /** Where the container of this process sees what was replaced since; left out where nobody asks. */
  replacedMounts?(pid: number): Promise<string[]>;
  lookAt?: LookAtPlace;
}

/** What somebody else has begun must go on within this time, or it was cut off. */
const UNDERWAY_MS = 15_000;

/** @returns undefined where there is no container of it */
export async function observeService(look: Look): Promise<ServiceFact | undefined> {
  const [project, service] = locate(look.id);
  const { listing, spec, memory } = look;
  const ours = [...listing.membersOf(project, service), ...unlabelled(look)];
  const found = await Promise.all(ours.map((c) => observeContainer(look, c.Id, c)));
  const all = found.filter((r) => r !== undefined).sort((a, b) => a.number - b.number);
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
  // One that was made beside another is the service's own once that other is gone.
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
    leftHooks: look.listing.leftHooksOf(project, service).map((c) => (c.Names[0] ?? c.Id).replace(/^\//, '')),
    moves: look.moves,
    discards: look.discards ?? new Set(),
    peers: look.listing.peersOf(project),
  };
}

type Replaced = Pick<ServiceFact, 'outdated' | 'detached'>;

/** A single file whose change restarts its service is left out: that comes by itself. */
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

/** What has no labels of Compose, and is the service's by its declared name, or was adopted by that. */
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

/** Begun in the future: the clock was set back since. That must not be waited for until its date comes again. */
const ageOf = (ms: number): number => (ms < -1_000 ? Number.POSITIVE_INFINITY : Math.max(0, ms));

/**
 * @param listed as the list of containers has it, where there is one
 * @returns undefined where there is no such container
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

/** Its restart policy allows so many starts after a failure, and the engine has made them all: more would go against the declaration. */
export const isGivenUp = ({ info, interrupted }: Replica): boolean => {
  const { Name, MaximumRetryCount: limit = 0 } = info.HostConfig.RestartPolicy ?? {};
  const hasFailed = info.State.Status === 'exited' && info.State.ExitCode !== 0 && !interrupted;
  return Name === 'on-failure' && limit > 0 && hasFailed && (info.RestartCount ?? 0) >= limit;
};

/** It came to its end by itself: one that its engine stopped is not done, whatever its exit code. */
export const isCompleted = (spec: ServiceSpec, { info, interrupted }: Replica): boolean =>
  !interrupted &&
  info.State.Status === 'exited' &&
  info.State.ExitCode === 0 &&
  (spec.restart.name === 'no' || spec.restart.name === 'on-failure');
