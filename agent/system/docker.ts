/** The Docker Engine by its API (docs.docker.com, Engine API): thin, bounded in time, errors in sentences. */
import type Dockerode from 'dockerode';
import { AgentError } from '../errors.ts';
import { createContainer, type DockerCommand, plainLog, runCommand } from './docker-containers.ts';
import { type ImageInfo, inspectImage, type PullOptions, pullImage, registryDigest } from './docker-images.ts';
import { createContainerList } from './docker-list.ts';
import type { RegistryAuth } from './registry-credentials.ts';

export type { DockerCommand } from './docker-containers.ts';
export type { ImageConfig, ImageInfo } from './docker-images.ts';

export type ContainerInfo = Omit<Dockerode.ContainerInspectInfo, 'Config'> & {
  /** The library's type lacks two fields of the API. */
  Config: Dockerode.ContainerInspectInfo['Config'] & { StopSignal?: string; StopTimeout?: number };
};
export type ContainerSummary = Dockerode.ContainerInfo;
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
/** What the engine and its kernel can do, of `GET /info`; left out where an engine says nothing of it. */
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
}
export type NetworkInfo = Dockerode.NetworkInspectInfo;
export type VolumeInfo = Dockerode.VolumeInspectInfo;

export interface Docker {
  /** Of the engine, and the newest of its API that it speaks. */
  version(): Promise<{ version: string; api: string }>;
  info(): Promise<EngineInfo>;
  /** All of them; the very array of the time before as long as the engine says the same. */
  containers(): Promise<readonly ContainerSummary[]>;
  /** undefined where there is no such container. */
  inspect(id: string): Promise<ContainerInfo | undefined>;
  /** @param warn hears of what the engine leaves out of it */
  create(options: Dockerode.ContainerCreateOptions, warn: (text: string) => void): Promise<string>;
  /** @param endpoint EndpointSettings of the Engine API */
  connect(network: string, container: string, endpoint: Record<string, unknown>): Promise<void>;
  disconnect(network: string, container: string): Promise<void>;
  update(id: string, settings: LiveUpdate): Promise<void>;
  start(id: string): Promise<void>;
  /** @param grace seconds before it is killed; null leaves it to the container's own setting */
  stop(id: string, grace: number | null): Promise<void>;
  restart(id: string, grace: number | null): Promise<void>;
  /** Leaves one that is gone alone, as `stop` and `remove` do. */
  rename(id: string, name: string): Promise<void>;
  /** @param volumes its anonymous volumes too */
  remove(id: string, volumes: boolean): Promise<void>;
  /** Runs a command in a running container and waits for its end; `output` is the end of what it printed, in one line. */
  run(id: string, command: DockerCommand, limitMs: number): Promise<{ exitCode: number; output: string }>;
  /** The last lines of its output, in one line. */
  logTail(id: string): Promise<string>;
  /** By name or id; undefined where it is not here. */
  image(image: string): Promise<ImageInfo | undefined>;
  /** Of all images, also of those that only others are built on. */
  imageIds(): Promise<string[]>;
  /** As long as something comes, it may take as long as it likes. */
  pull(image: string, options: PullOptions): Promise<void>;
  /** Resolves where the registry takes this user and password. */
  login(auth: RegistryAuth): Promise<void>;
  /** The digest that its registry knows it by now. */
  registryDigest(image: string, auth: RegistryAuth | null): Promise<string>;
  /** A name, and what is left without one; or an id. Never by force: false where something uses it. */
  removeImage(image: string): Promise<boolean>;
  networks(): Promise<NetworkInfo[]>;
  createNetwork(options: Dockerode.NetworkCreateOptions): Promise<void>;
  removeNetwork(id: string): Promise<void>;
  volumes(): Promise<VolumeInfo[]>;
  createVolume(options: Dockerode.VolumeCreateOptions): Promise<void>;
  /** With all that is in it. Refused while a container has it mounted. */
  removeVolume(name: string): Promise<void>;
}

const CALL_TIMEOUT_MS = 60_000;
const PULL_STALL_MS = 300_000;
/** An engine waits for a registry that does not answer, and then tries another way. */
const ASK_TIMEOUT_MS = 120_000;
const LOG_LINES = 5;

export function createDocker({ socket }: { socket: string }): Docker {
  let loaded: Promise<Dockerode> | null = null;
  const list = createContainerList();
  const engine = (): Promise<Dockerode> => {
    loaded ??= import('dockerode').then(
      ({ default: Engine }) => new Engine({ socketPath: socket, timeout: PULL_STALL_MS }),
    );
    return loaded;
  };
  async function call<T>(
    what: string,
    act: (docker: Dockerode) => Promise<T>,
    timeoutMs: number | null = CALL_TIMEOUT_MS,
  ): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      if (timeoutMs !== null)
        timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs / 1000} s`)), timeoutMs);
    });
    try {
      return await Promise.race([act(await engine()), late]);
    } catch (thrown) {
      throw explain(what, socket, thrown);
    } finally {
      clearTimeout(timer);
    }
  }
  /** Acts on the container `id`: it may be gone, which is told from one that a declaration names and that is not there. */
  const on = <T>(what: string, id: string, act: (docker: Dockerode) => Promise<T>, timeoutMs?: number): Promise<T> =>
    call(
      what,
      (d) =>
        act(d).catch((thrown: unknown) => {
          const raw = thrown instanceof Error ? thrown.message : String(thrown);
          throw raw.includes(`No such container: ${id}`) ? gone(what, thrown) : thrown;
        }),
      timeoutMs,
    );
  const orMissing = <T>(found: Promise<T>): Promise<T | undefined> =>
    found.catch((thrown) => {
      if (statusOf(thrown) === 404) return undefined;
      throw thrown;
    });
  const unless = async (codes: readonly number[], act: () => Promise<unknown>): Promise<void> => {
    try {
      await act();
    } catch (thrown) {
      if (!codes.includes(statusOf(thrown))) throw thrown;
    }
  };
  const graceMs = (grace: number | null) => (grace ?? 10) * 1_000 + CALL_TIMEOUT_MS;
  const grace = (t: number | null) => (t === null ? {} : { t });
  return {
    containers: () => call('list containers', list),
    info: () => call('ask the engine what it can do', async (d) => (await d.info()) as EngineInfo),
    version: () =>
      call('ask the engine for its version', async (d) => {
        const { Version: version, ApiVersion: api } = await d.version();
        return { version, api };
      }),
    inspect: (id) => call('inspect a container', (d) => orMissing(d.getContainer(id).inspect())),
    create: (options, warn) =>
      call(`create ${options.name}`, async (d) => {
        const { Id, Warnings } = await createContainer(d, options);
        for (const text of Warnings ?? []) warn(text);
        return Id;
      }),
    connect: (network, container, endpoint) =>
      on(`connect to ${network}`, container, (d) =>
        d.getNetwork(network).connect({ Container: container, EndpointConfig: endpoint }),
      ),
    disconnect: (network, container) =>
      call(`disconnect from ${network}`, (d) =>
        unless([404], () => d.getNetwork(network).disconnect({ Container: container, Force: true })),
      ),
    update: (id, settings) =>
      on('update a container', id, async (d) => void (await d.getContainer(id).update(settings))),
    start: (id) => on('start a container', id, (d) => unless([304], () => d.getContainer(id).start())),
    stop: (id, t) =>
      call('stop a container', (d) => unless([304, 404], () => d.getContainer(id).stop(grace(t))), graceMs(t)),
    restart: (id, t) => on('restart a container', id, (d) => d.getContainer(id).restart(grace(t)), graceMs(t)),
    rename: (id, name) =>
      call(`rename to ${name}`, (d) =>
        // One that is gone needs no name; what is missing by that is seen by the next look.
        unless([404], () => d.getContainer(id).rename({ name })).catch((thrown: unknown) => {
          if (!/same name as its current name/.test(String(thrown))) throw thrown;
        }),
      ),
    remove: (id, volumes) =>
      call('remove a container', (d) =>
        unless([404, 409], () => d.getContainer(id).remove({ force: true, v: volumes })),
      ),
    run: (id, command, limitMs) =>
      on('run a command in a container', id, (d) => runCommand(d, id, command), limitMs + CALL_TIMEOUT_MS),
    logTail: (id) =>
      call('read a container’s log', async (d) =>
        plainLog(await d.getContainer(id).logs({ stdout: true, stderr: true, tail: LOG_LINES, follow: false })),
      ).catch(() => ''),
    image: (image) => call(`look for image ${image}`, (d) => orMissing(inspectImage(d, image))),
    imageIds: () => call('list images', async (d) => (await d.listImages({ all: true })).map((i) => i.Id)),
    pull: (image, options) => call(`pull ${image}`, (d) => pullImage(d, image, options), null),
    login: (auth) =>
      call(`log in to ${auth.serveraddress}`, async (d) => void (await d.checkAuth(auth)), ASK_TIMEOUT_MS),
    registryDigest: (image, auth) =>
      call(`ask the registry about ${image}`, (d) => registryDigest(d, image, auth), ASK_TIMEOUT_MS),
    removeImage: (image) =>
      call(`remove image ${image}`, (d) =>
        d
          .getImage(image)
          .remove()
          .then(
            () => true,
            (thrown) => {
              if ([404, 409].includes(statusOf(thrown))) return false;
              throw thrown;
            },
          ),
      ),
    networks: () => call('list networks', async (d) => d.listNetworks()),
    createNetwork: (options) =>
      call(`create network ${options.Name}`, async (d) => void (await d.createNetwork(options))),
    removeNetwork: (id) => call('remove a network', (d) => unless([404], () => d.getNetwork(id).remove())),
    volumes: () => call('list volumes', async (d) => (await d.listVolumes()).Volumes ?? []),
    createVolume: (options) => call(`create volume ${options.Name}`, async (d) => void (await d.createVolume(options))),
    removeVolume: (name) => call(`remove volume ${name}`, (d) => unless([404], () => d.getVolume(name).remove())),
  };
}

const statusOf = (thrown: unknown): number => Number((thrown as { statusCode?: unknown }).statusCode ?? 0);

const gone = (what: string, cause: unknown): AgentError =>
  new AgentError({
    ...{ code: 'ContainerMissing', phase: 'apply', retry: true, cause },
    message: `cannot ${what}: it is gone; something else removed it, and it is made anew`,
  });

function explain(what: string, socket: string, thrown: unknown): AgentError {
  if (thrown instanceof AgentError) return thrown;
  const raw = thrown instanceof Error ? thrown.message : String(thrown);
  const code = String((thrown as { code?: unknown }).code ?? '');
  const why = raw.replace(/^\(HTTP code \d+\) [^-]*- /, '').trim();
  if (
    ['ENOENT', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'EACCES'].includes(code) ||
    /socket hang up|no answer within/.test(raw)
  ) {
    return new AgentError({
      code: 'EngineUnreachable',
      phase: 'observe',
      retry: true,
      message: `cannot reach the Docker engine at ${socket} (${what}): ${why || code}; is docker.service running?`,
      cause: thrown,
    });
  }
  const known = REFUSALS.find(({ says }) => says.test(raw));
  const advice = known ? `; ${known.advice}` : '';
  return new AgentError({
    ...{ code: known?.code ?? 'EngineRefused', phase: 'apply', retry: true, cause: thrown },
    message: `cannot ${what}: ${why}${advice}`,
  });
}

/** Refusals of which more is known than what the engine says. */
const REFUSALS: readonly { says: RegExp; code: string; advice: string }[] = [
  {
    says: /port is already allocated|address already in use/,
    code: 'PortInUse',
    advice: 'free the port, or publish another',
  },
  {
    // What else has no space left may be a limit that was declared: of a volume, of a control group.
    says: /^(?!.*(?:cgroup|inotify|populate|\/volumes\/)).*no space left on device/s,
    code: 'DiskFull',
    advice: 'make room on the disk of the engine (`docker system df`)',
  },
  {
    says: /container is marked for removal/,
    code: 'ContainerMissing',
    advice: 'something else removes it; it is made anew when it is gone',
  },
  {
    says: /non-overlapping IPv4 address pool|all predefined address pools/,
    code: 'AddressPoolsExhausted',
    advice:
      'remove networks that nobody uses (`docker network prune`), give this one a subnet of its own (`ipam`), or add `default-address-pools` to /etc/docker/daemon.json',
  },
  { says: /Pool overlaps with other one/, code: 'SubnetInUse', advice: 'choose another subnet' },
];
