/** The state of a Docker engine in memory, and its lookups. */
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
  /** It was named explicitly; an anonymous one is removed with its container. */
  isNamed: boolean;
  /** It comes from another container's volumes, and is not kept by this one. */
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
  /** Something on the host prevents its removal. */
  isBusy: boolean;
  pid: number;
  exitCode: number;
  error: string;
  /** Milliseconds since the epoch; null for never. */
  startedAt: number | null;
  finishedAt: number | null;
  health: 'starting' | 'healthy' | 'unhealthy' | null;
  failedProbes: number;
  log: string[];
  ports: TakenPort[];
  /** Consecutive ends, for the pause before the next start. */
  restarts: number;
  /** Cancels its timers. */
  pending: Set<() => void>;
}

/** An image as a registry or a host has it. */
export interface FakeImage extends ImageInfo {
  /** From the lowest: identifiers that distinguish the layers of images. */
  layers: readonly string[];
  /** The behaviour of a command in it; by default the usual words of a shell. */
  program?: (argv: readonly string[]) => Program;
}

export type FakeNetwork = NetworkInfo & { isBuiltIn: boolean };

export interface State {
  clock: FakeClock;
  /** By id, in order of creation. */
  containers: Map<string, FakeContainer>;
  /** By id. */
  networks: Map<string, FakeNetwork>;
  /** By name. */
  volumes: Map<string, VolumeInfo>;
  /** Images on the host, by id. */
  images: Map<string, FakeImage>;
  layers: Layers;
  /** `tcp/80` of programs of the host. */
  hostPorts: Set<string>;
  /** Commands that were executed in containers, as `name: argv`. */
  ran: string[];
  /** Sends events to listeners. */
  tell(event: DockerEvent): void;
  /** 64 hexadecimal digits, each time different. */
  newId(): string;
}

/** By id or name. @throws the Docker engine's error if it does not exist */
export function containerOf(state: State, ref: string): FakeContainer {
  const found = state.containers.get(ref) ?? [...state.containers.values()].find((c) => c.name === ref);
  if (found === undefined) throw refusal(404, `no such container`, `No such container: ${ref}`);
  return found;
}

/** By id or name. @throws the Docker engine's error if it does not exist */
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

/** Records an event of a container. */
export function emitContainerEvent(
  state: State,
  c: FakeContainer,
  Action: string,
  more: Record<string, string> = {},
): void {
  state.tell({ Type: 'container', Action, Actor: { ID: c.id, Attributes: { ...namesOf(c), ...more } } });
}
