/** The specs of a stack as the engine is asked for them: every default explicit, every name and path absolute. */
import type { EngineConfig } from './engine-config.ts';

export interface PortSpec {
  target: number;
  protocol: 'tcp' | 'udp' | 'sctp';
  /** '' lets the engine choose. */
  published: string;
  hostIp: string;
}

export interface MountSpec {
  type: 'bind' | 'volume' | 'tmpfs' | 'image';
  /** Host path, the volume's real name, or an image's; '' for an anonymous volume or tmpfs. */
  source: string;
  target: string;
  readOnly: boolean;
  /** More of what stands behind `SOURCE:TARGET:`, such as `rslave`, `z`, `nocopy`. */
  options: string[];
  /** The engine's mount object, for what that text cannot say. */
  mount: Record<string, unknown> | null;
}

/** Attachment of a service to a network. */
export interface AttachmentSpec {
  /** The network's real name. */
  name: string;
  /** Without any settings of its own. */
  bare: boolean;
  aliases: string[];
  /** '' lets the engine choose. */
  ipv4: string;
  ipv6: string;
  linkLocal: string[];
  mac: string;
  driverOptions: Record<string, string>;
  /** The network with the highest priority becomes the default route; 0 if nothing is declared. */
  gatewayPriority: number;
}

/** The option of an attachment with the name of the interface. */
export const INTERFACE_NAME = 'com.docker.network.endpoint.ifname';

export interface HealthcheckSpec {
  /** In the engine's form: ['CMD', …], ['CMD-SHELL', …] or ['NONE']. */
  test: string[];
  /** Durations as Compose prints them, such as `1m30s`; '' leaves the engine's default. */
  interval: string;
  timeout: string;
  startPeriod: string;
  startInterval: string;
  retries: number;
}

/** A command that is run in a container after its start or before its stop. */
export interface HookSpec {
  command: string[];
  /** '' leaves the container's own. */
  user: string;
  privileged: boolean;
  workingDir: string;
  environment: Record<string, string>;
}

/** A command that is run to its end in a container of its own, before a container of the service is started. */
export interface PreStartSpec extends HookSpec {
  /** '' is the service's own. */
  image: string;
  /** Before each container, and not once for all of them. */
  perReplica: boolean;
}

/** How the containers of a service are replaced. */
export interface UpdateSpec {
  order: 'stop-first' | 'start-first';
  /** Containers at a time; 0 is all at once. */
  parallelism: number;
  /** Between two groups, as `1m30s`; '' is none. */
  delay: string;
  /** Reaction to a new container that does not become healthy; '' leaves it to the host's `rollback`. */
  onFailure: '' | 'rollback' | 'pause' | 'continue';
  /** Time that a container without a healthcheck must run before it counts as healthy; '' is the default. */
  monitor: string;
  /** The share of containers that may be unwell, 0 to 1. */
  maxFailureRatio: number;
}

export interface ServiceSpec {
  project: string;
  service: string;
  /** Name and number of the first of its containers; `memberOf` gives those of the others. */
  containerName: string;
  number: number;
  /** The name is declared, and not made of project, service and number. */
  ownName: boolean;
  replicas: number;
  update: UpdateSpec;
  preStart: PreStartSpec[];
  postStart: HookSpec[];
  preStop: HookSpec[];
  image: string;
  /** null leaves the image's own. */
  command: string[] | null;
  entrypoint: string[] | null;
  /** null takes away what the image says. */
  environment: Record<string, string | null>;
  ports: PortSpec[];
  /** Container ports that are exposed without being published, e.g. `80` or `80/udp`. */
  expose: string[];
  mounts: MountSpec[];
  restart: { name: 'no' | 'always' | 'on-failure' | 'unless-stopped'; maximumRetryCount: number };
  labels: Record<string, string>;
  healthcheck: HealthcheckSpec | null;
  /** `host`, `none`, `container:NAME`, `service:NAME`, or '' for the networks below. */
  networkMode: string;
  /** The same for the namespaces of processes and of shared memory; '' is a namespace of its own. */
  pidMode: string;
  ipcMode: string;
  /** The first is the one that is there from the start. */
  networks: AttachmentSpec[];
  /** Hardware address where it is on no network of its own, such as `network_mode: bridge`; '' lets the engine choose. */
  mac: string;
  /** Services of the project that are reached by another name. */
  links: { service: string; alias: string }[];
  externalLinks: string[];
  /** Containers whose volumes are mounted: `service` or `container:NAME`, each with `:ro` where that is said. */
  volumesFrom: string[];
  dependsOn: {
    service: string;
    condition: 'service_started' | 'service_healthy' | 'service_completed_successfully';
    restart: boolean;
    /** False: the start goes on without it. */
    required: boolean;
    /** The start waits for the condition: it is more than a start, and of a service that is to run at all. */
    awaited: boolean;
  }[];
  /** As `1m30s`; '' leaves the engine's default. */
  stopGrace: string;
  engine: EngineConfig;
  platform: string;
  pullPolicy: PullPolicy;
  /** For the labels that `docker compose` reads. */
  projectDir: string;
  configFiles: string[];
  /** A container that runs already and differs is taken over by recreating it. */
  adopt: 'match' | 'recreate';
  /** The service may start without the data that it had in another place; missing if a person is asked first. */
  empty?: 'allow';
  /** Sent to its containers when managed content below a directory that it mounts changed; missing if nothing is sent. */
  signal?: string;
}

export interface PullPolicy {
  /** For `refresh`: seconds after which the registry is asked again. */
  when: 'missing' | 'always' | 'never' | 'refresh';
  /** 0 unless `refresh`. */
  everySeconds: number;
}

export interface NetworkSpec {
  project: string;
  key: string;
  name: string;
  external: boolean;
  driver: string;
  driverOptions: Record<string, string>;
  internal: boolean;
  attachable: boolean;
  /** null leaves the engine's default. */
  ipv4: boolean | null;
  ipv6: boolean | null;
  ipam: {
    driver: string;
    config: { subnet: string; range: string; gateway: string; aux: Record<string, string> }[];
  };
  labels: Record<string, string>;
  /** An existing one that differs is recreated. */
  adopt: 'match' | 'recreate';
}

export interface VolumeSpec {
  project: string;
  key: string;
  name: string;
  external: boolean;
  driver: string;
  driverOptions: Record<string, string>;
  labels: Record<string, string>;
  /** It may be deleted, with its content, once it is no longer declared. */
  prune: boolean;
  /** `recreate`, together with `prune`: one that differs is deleted and recreated. */
  adopt: 'match' | 'recreate';
}
