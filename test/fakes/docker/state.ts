/** What an engine in memory holds, and how its things are found. */
import type {
  Attachment,
  ContainerConfig,
  ContainerInfo,
  ImageInfo,
  NetworkInfo,
  VolumeInfo,
} from '../../../agent/system/docker/docker.ts';
import type { DockerEvent } from '../../../agent/system/docker/events.ts';
import type { FakeClock } from '../clock.ts';
import type { Layers } from './layers.ts';
import type { Program } from './programs.ts';
import { refusal } from './refusals.ts';

export type Mount = ContainerInfo['Mounts'][number] & {
  /** Its name was given to it; one that nobody named goes with its container. */
  isNamed: boolean;
  /** It has it from another container, and does not hold it. */
  isBorrowed: boolean;
};

/** A port of the host that a running container has. */
export interface TakenPort {
  ip: string;
  port: number;
  protocol: string;
  /** Port in the container. */
  inside: number;
}

export interface FakeContainer {
  id: string;
  name: string;
  imageId: string;
  config: ContainerConfig;
  host: ContainerInfo['HostConfig'];
  mounts: Mount[];
  /** By the name of the network. */
  networks: Map<string, Attachment>;
  status: 'created' | 'running' | 'restarting' | 'exited' | 'dead';
  /** Something on the host keeps it from being removed. */
  isBusy: boolean;
  pid: number;
  exitCode: number;
  error: string;
  /** Milliseconds since the epoch; null where it never was. */
  startedAt: number | null;
  finishedAt: number | null;
  health: 'starting' | 'healthy' | 'unhealthy' | null;
  failedProbes: number;
  log: string[];
  ports: TakenPort[];
  /** Ends in a row, for the pause before the next start. */
  restarts: number;
  /** Calls off what is to happen to it as time passes. */
  pending: Set<() => void>;
}

/** An image as a registry or a host has it. */
export interface FakeImage extends ImageInfo {
  /** From the lowest: what tells them from layers of other images. */
  layers: readonly string[];
  /** What becomes of a command in it; the usual words of a shell where it is left out. */
  program?: (argv: readonly string[]) => Program;
}

export type FakeNetwork = NetworkInfo & { isBuiltIn: boolean };

export interface State {
  clock: FakeClock;
  /** By id, in the order in which they were made. */
  containers: Map<string, FakeContainer>;
  /** By id. */
  networks: Map<string, FakeNetwork>;
  /** By name. */
  volumes: Map<string, VolumeInfo>;
  /** Those that are on the host, by id. */
  images: Map<string, FakeImage>;
  layers: Layers;
  /** `tcp/80` of programs of the host. */
  hostPorts: Set<string>;
  /** Commands that were run in containers, as `name: argv`. */
  ran: string[];
  /** Tells those who listen. */
  tell(event: DockerEvent): void;
  /** 64 hexadecimal digits, none twice. */
  newId(): string;
}

/** By id or name. @throws the engine's own words where it is not there */
export function containerOf(state: State, ref: string): FakeContainer {
  const found = state.containers.get(ref) ?? [...state.containers.values()].find((c) => c.name === ref);
  if (found === undefined) throw refusal(404, `no such container`, `No such container: ${ref}`);
  return found;
}

/** By id or name. @throws the engine's own words where it is not there */
export function networkOf(state: State, ref: string): FakeNetwork {
  const found = state.networks.get(ref) ?? [...state.networks.values()].find((n) => n.Name === ref);
  if (found === undefined) throw refusal(404, 'no such network', `network ${ref} not found`);
  return found;
}

/** An image of the host by id, tag or digest. */
export function imageOf(state: State, ref: string): FakeImage | undefined {
  const name = /@|:[^/]*$/.test(ref) ? ref : `${ref}:latest`;
  return (
    state.images.get(ref) ??
    [...state.images.values()].find(
      (i) => i.tags.includes(name) || i.digests.includes(name) || i.id === `sha256:${ref}`,
    )
  );
}

export const namesOf = (c: FakeContainer): Record<string, string> => ({
  ...c.config.Labels,
  name: c.name,
  image: c.config.Image,
});

/** Something happened to a container. */
export function tellOf(state: State, c: FakeContainer, Action: string, more: Record<string, string> = {}): void {
  state.tell({ Type: 'container', Action, Actor: { ID: c.id, Attributes: { ...namesOf(c), ...more } } });
}
