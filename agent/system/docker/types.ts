/**
 * The functions of a Docker engine that the kinds use, and the fields of its answers that they read: the driver and a fake
 * both implement them.
 */
import type Dockerode from 'dockerode';
import type { Platform } from '../../core/names/image-name.ts';
import type { RegistryAuth } from './registry-credentials.ts';

type Inspected = Dockerode.ContainerInspectInfo;

/** The fields that are read of one container of `GET /containers/{id}/json`. */
export interface ContainerInfo extends Pick<Inspected, 'Id' | 'Name' | 'Image' | 'Mounts'> {
  /** Number of restarts by the restart policy since the last start by hand; some engines leave out 0. */
  RestartCount?: number;
  State: Omit<Inspected['State'], 'Dead'>;
  HostConfig: Dockerode.HostConfig;
  Config: ContainerConfig;
  NetworkSettings: {
    /** Null for a port that is exposed and not published. */
    Ports: Record<string, { HostIp: string; HostPort: string }[] | null>;
    Networks: Record<string, Attachment>;
  };
}

type Configured = Inspected['Config'];

/** Configuration that a container was created with; engines leave out empty values, or send null. */
export interface ContainerConfig
  extends Pick<Configured, 'Hostname' | 'Image' | 'Labels' | 'User' | 'WorkingDir'>,
    Partial<Pick<Configured, 'Domainname' | 'ExposedPorts' | 'Healthcheck' | 'OpenStdin' | 'Tty'>> {
  Cmd: string[] | null;
  Entrypoint?: string | string[] | null | undefined;
  Env: string[] | null;
  StopSignal?: string;
  StopTimeout?: number;
  Volumes?: Configured['Volumes'] | null;
}

/** A container on one network. */
export interface Attachment {
  NetworkID: string;
  IPAddress: string;
  MacAddress: string;
  Aliases?: string[] | null;
  Links?: string[] | null;
  IPAMConfig?: { IPv4Address?: string; IPv6Address?: string; LinkLocalIPs?: string[] } | null;
  DriverOpts?: Record<string, string> | null;
  GwPriority?: number;
}

type Listed = Dockerode.ContainerInfo;

/** The fields that are read of one container of `GET /containers/json`. */
export interface ContainerSummary
  extends Pick<Listed, 'Id' | 'Names' | 'Image' | 'ImageID' | 'Labels' | 'State' | 'Status'> {
  Ports: Partial<Pick<Dockerode.Port, 'IP' | 'PrivatePort' | 'PublicPort' | 'Type'>>[];
  NetworkSettings: { Networks: Record<string, Pick<Attachment, 'NetworkID'>> };
  Mounts: (Pick<Listed['Mounts'][number], 'Name' | 'Type' | 'Source' | 'Destination'> & { RW?: boolean })[];
}

/** Body of `POST /containers/create`, with the name and the platform of its query. */
export type ContainerRequest = Dockerode.ContainerCreateOptions;
export type NetworkRequest = Dockerode.NetworkCreateOptions;
export type VolumeRequest = Dockerode.VolumeCreateOptions;

/** One network of `GET /networks`. */
export type NetworkInfo = Pick<
  Dockerode.NetworkInspectInfo,
  'Attachable' | 'Driver' | 'EnableIPv6' | 'IPAM' | 'Id' | 'Internal' | 'Labels' | 'Name' | 'Options'
>;
/** One volume of `GET /volumes`. */
export type VolumeInfo = Pick<Dockerode.VolumeInspectInfo, 'Driver' | 'Labels' | 'Mountpoint' | 'Name' | 'Options'>;

/** Defaults of an image for containers made from it. */
export type ImageConfig = Partial<
  Pick<
    ContainerConfig,
    | 'Cmd'
    | 'Entrypoint'
    | 'Env'
    | 'ExposedPorts'
    | 'Healthcheck'
    | 'Labels'
    | 'User'
    | 'Volumes'
    | 'WorkingDir'
    | 'StopSignal'
  >
>;

export interface ImageInfo {
  id: string;
  config: ImageConfig;
  platform: Platform;
  /** Digest of layers and configuration: equal for two ids of the same image (as when only its index was rebuilt). */
  content: string;
  /** `name:tag`, `name@sha256:…`: what it is called on this host, and by which digests registries know it. */
  tags: readonly string[];
  digests: readonly string[];
}

export interface PullOptions {
  signal: AbortSignal;
  /** `linux/arm64`; '' is the engine's own. */
  platform: string;
  /** null for nobody in particular. */
  auth: RegistryAuth | null;
  /** Called with the received bytes and the known total; a few times a second. */
  tell?(doneBytes: number, totalBytes: number): void;
}

/** ExecConfig of the Engine API. */
export interface DockerCommand {
  Cmd: string[];
  Env?: string[];
  User?: string;
  WorkingDir?: string;
  Privileged?: boolean;
}

/** Settings that the engine changes while a container runs. */
export interface LiveUpdate {
  Memory?: number;
  MemorySwap?: number;
  MemoryReservation?: number;
  NanoCpus?: number;
  CpuShares?: number;
  CpuPeriod?: number;
  CpuQuota?: number;
  CpusetCpus?: string;
  PidsLimit?: number;
  RestartPolicy?: { Name: string; MaximumRetryCount: number };
}
/** Abilities of the engine and its kernel, from `GET /info`; missing if the engine does not report them. */
export interface EngineInfo {
  CgroupVersion?: string;
  OomKillDisable?: boolean;
  MemoryLimit?: boolean;
  SwapLimit?: boolean;
  PidsLimit?: boolean;
  CPUShares?: boolean;
  CPUSet?: boolean;
  CpuCfsPeriod?: boolean;
  CpuCfsQuota?: boolean;
  /** Data directory as the engine reports it; the engine may be on another machine. */
  DockerRootDir?: string;
  /** Storage driver: `overlay2`, or a snapshotter of containerd. */
  Driver?: string;
  DriverStatus?: readonly (readonly string[])[] | null;
}
export interface Docker {
  /** Version of the engine, and the newest API version that it speaks. */
  version(): Promise<{ version: string; api: string }>;
  info(): Promise<EngineInfo>;
  /** All of them; the very array of the time before as long as the engine says the same. */
  containers(): Promise<readonly ContainerSummary[]>;
  /** undefined if there is no such container. */
  inspect(id: string): Promise<ContainerInfo | undefined>;
  /** @param warn hears of what the engine leaves out of it */
  create(options: ContainerRequest, warn: (text: string) => void): Promise<string>;
  /** @param endpoint EndpointSettings of the Engine API */
  connect(network: string, container: string, endpoint: Record<string, unknown>): Promise<void>;
  disconnect(network: string, container: string): Promise<void>;
  update(id: string, settings: LiveUpdate): Promise<void>;
  start(id: string): Promise<void>;
  /** @param grace seconds before it is killed; null leaves it to the container's own setting */
  stop(id: string, grace: number | null): Promise<void>;
  restart(id: string, grace: number | null): Promise<void>;
  /** To its first process. Tells nothing to one that does not run. @param name such as `HUP` */
  signal(id: string, name: string): Promise<void>;
  /** Leaves one that is gone alone, as `stop` and `remove` do. */
  rename(id: string, name: string): Promise<void>;
  /** `volumes`: whether its anonymous volumes are removed as well. */
  remove(id: string, options: { volumes: boolean }): Promise<void>;
  /** Runs a command in a running container and waits for its end; `output` is the end of what it printed, in one line. */
  run(id: string, command: DockerCommand, limitMs: number): Promise<{ exitCode: number; output: string }>;
  /** The last lines of its output, in one line. */
  logTail(id: string): Promise<string>;
  /** By name or id; undefined if it is not here. */
  image(image: string): Promise<ImageInfo | undefined>;
  /** All images, including those that only serve as a base of others. */
  imageIds(): Promise<string[]>;
  /** May take any time as long as data keeps coming. */
  pull(image: string, options: PullOptions): Promise<void>;
  /** Resolves where the registry takes this user and password. */
  login(auth: RegistryAuth): Promise<void>;
  /** The digest that its registry knows it by now. */
  registryDigest(image: string, auth: RegistryAuth | null): Promise<string>;
  /** A name, and what is left without one; or an id. Never by force: false if something uses it. */
  removeImage(image: string): Promise<boolean>;
  networks(): Promise<readonly NetworkInfo[]>;
  createNetwork(options: NetworkRequest): Promise<void>;
  removeNetwork(id: string): Promise<void>;
  volumes(): Promise<readonly VolumeInfo[]>;
  createVolume(options: VolumeRequest): Promise<void>;
  /** With all that is in it. Refused while a container has it mounted. */
  removeVolume(name: string): Promise<void>;
}
