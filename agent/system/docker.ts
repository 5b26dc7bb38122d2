/** The Docker Engine by its API (docs.docker.com, Engine API): thin, bounded in time, errors in sentences. */

import type Dockerode from 'dockerode';
import { createContainer, plainLog, runCommand } from './docker-containers.ts';
import { explain, gone, Late, statusOf } from './docker-errors.ts';
import { inspectImage, pullImage, registryDigest } from './docker-images.ts';
import { createContainerList } from './docker-list.ts';
import type { Docker, EngineInfo } from './docker-types.ts';
import { saysGone, saysSameName } from './engine-words.ts';

export type * from './docker-types.ts';

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
        timer = setTimeout(() => reject(new Late(`no answer within ${timeoutMs / 1000} s`)), timeoutMs);
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
          throw saysGone(thrown, id) ? gone(what, thrown) : thrown;
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
          if (!saysSameName(thrown)) throw thrown;
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
