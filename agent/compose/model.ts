/** What a stack is asked of the engine: every default explicit, every name and path absolute. */

export interface PortSpec {
  target: number;
  protocol: 'tcp' | 'udp' | 'sctp';
  /** '' lets the engine choose. */
  published: string;
  hostIp: string;
}

export interface MountSpec {
  type: 'bind' | 'volume' | 'tmpfs';
  /** Host path, or the volume's real name; '' for an anonymous volume or tmpfs. */
  source: string;
  target: string;
  readOnly: boolean;
}

export interface HealthcheckSpec {
  /** As the engine takes it: ['CMD', …], ['CMD-SHELL', …] or ['NONE']. */
  test: string[];
  /** Nanoseconds; 0 leaves the engine's default. */
  interval: number;
  timeout: number;
  startPeriod: number;
  retries: number;
}

export interface ServiceSpec {
  project: string;
  service: string;
  containerName: string;
  image: string;
  /** null leaves the image's own. */
  command: string[] | null;
  entrypoint: string[] | null;
  environment: Record<string, string>;
  ports: PortSpec[];
  /** Container ports that are exposed without being published, e.g. `80/tcp`. */
  expose: string[];
  mounts: MountSpec[];
  restart: { name: 'no' | 'always' | 'on-failure' | 'unless-stopped'; maximumRetryCount: number };
  labels: Record<string, string>;
  healthcheck: HealthcheckSpec | null;
  /** `host`, `none`, or '' for the networks below. */
  networkMode: string;
  networks: { name: string; aliases: string[] }[];
  dependsOn: { service: string; condition: 'service_started' | 'service_healthy' | 'service_completed_successfully' }[];
  hostname: string;
  user: string;
  workingDir: string;
  readOnly: boolean;
  privileged: boolean;
  init: boolean | null;
  capAdd: string[];
  capDrop: string[];
  extraHosts: string[];
  stopSignal: string;
  /** Seconds; null leaves the engine's default. */
  stopGrace: number | null;
  /** Bytes; 0 is no limit. */
  memory: number;
  /** Billionths of a CPU; 0 is no limit. */
  nanoCpus: number;
  logging: { driver: string; options: Record<string, string> } | null;
  pullPolicy: 'missing' | 'always' | 'never';
  /** For the labels that `docker compose` reads. */
  projectDir: string;
  configFiles: string[];
}

export interface NetworkSpec {
  project: string;
  key: string;
  name: string;
  external: boolean;
  driver: string;
  driverOptions: Record<string, string>;
  internal: boolean;
  labels: Record<string, string>;
}

export interface VolumeSpec {
  project: string;
  key: string;
  name: string;
  external: boolean;
  driver: string;
  driverOptions: Record<string, string>;
  labels: Record<string, string>;
}
