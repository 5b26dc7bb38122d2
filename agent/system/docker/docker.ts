/** The Docker Engine by its API (docs.docker.com, Engine API): thin; docker-answers.ts says what its refusals mean. */
import type Dockerode from 'dockerode';
import { LONGEST_TIMER_MS } from '../clock.ts';
import { explained, graceMs } from './answers.ts';
import { createContainer, plainLog, runCommand } from './containers.ts';
import { inspectImage, pullImage, registryDigest } from './images.ts';
import { createContainerList } from './list.ts';
import type { Docker, EngineInfo } from './types.ts';

export type * from './types.ts';

const STALL_MS = 300_000;
const LOG_LINES = 5;

export interface DockerOptions {
  socket: string;
  /** A connection is closed if nothing is heard on it for so long: a pull that stalls, a request that was given up. */
  stallMs?: number;
}

export function createDocker({ socket, stallMs = STALL_MS }: DockerOptions): Docker {
  const list = createContainerList();
  /** @param silentMs time for which the engine may rightly say nothing */
  const engine = async (silentMs = 0): Promise<Dockerode> => {
    const { default: Engine } = await import('dockerode');
    return new Engine({ socketPath: socket, timeout: Math.min(stallMs + silentMs, LONGEST_TIMER_MS) });
  };
  const container = async (id: string, silentMs = 0) => (await engine(silentMs)).getContainer(id);
  const network = async (id: string) => (await engine()).getNetwork(id);
  const grace = (t: number | null) => (t === null ? {} : { t });
  const calls: Docker = {
    containers: async () => list(await engine()),
    info: async () => (await (await engine()).info()) as EngineInfo,
    async version() {
      const { Version: version, ApiVersion: api } = await (await engine()).version();
      return { version, api };
    },
    inspect: async (id) => (await container(id)).inspect(),
    async create(options, warn) {
      const { Id, Warnings } = await createContainer(await engine(), options);
      for (const text of Warnings ?? []) warn(text);
      return Id;
    },
    connect: async (to, id, endpoint) => (await network(to)).connect({ Container: id, EndpointConfig: endpoint }),
    disconnect: async (from, id) => (await network(from)).disconnect({ Container: id, Force: true }),
    update: async (id, settings) => void (await (await container(id)).update(settings)),
    start: async (id) => (await container(id)).start(),
    stop: async (id, t) => (await container(id, graceMs(t))).stop(grace(t)),
    restart: async (id, t) => (await container(id, graceMs(t))).restart(grace(t)),
    signal: async (id, name) => (await container(id)).kill({ signal: name }),
    rename: async (id, name) => (await container(id)).rename({ name }),
    remove: async (id, { volumes }) => (await container(id)).remove({ force: true, v: volumes }),
    run: async (id, command, limitMs) => runCommand(await engine(limitMs), id, command),
    async logTail(id) {
      const last = { stdout: true, stderr: true, tail: LOG_LINES, follow: false } as const;
      return plainLog(await (await container(id)).logs(last));
    },
    image: async (image) => inspectImage(await engine(), image),
    imageIds: async () => (await (await engine()).listImages({ all: true })).map((i) => i.Id),
    pull: async (image, options) => pullImage(await engine(), image, options),
    login: async (auth) => void (await (await engine()).checkAuth(auth)),
    registryDigest: async (image, auth) => registryDigest(await engine(), image, auth),
    async removeImage(image) {
      await (await engine()).getImage(image).remove();
      return true;
    },
    networks: async () => (await engine()).listNetworks(),
    createNetwork: async (options) => void (await (await engine()).createNetwork(options)),
    removeNetwork: async (id) => (await network(id)).remove(),
    volumes: async () => (await (await engine()).listVolumes()).Volumes ?? [],
    createVolume: async (options) => void (await (await engine()).createVolume(options)),
    removeVolume: async (name) => (await engine()).getVolume(name).remove(),
  };
  return explained(calls, socket);
}
