/** A Docker engine in memory, with the driver's interface, under the same contract as the real one. */
import { createHash } from 'node:crypto';
import { explained } from '../../../agent/system/docker/answers.ts';
import type { Docker, EngineInfo } from '../../../agent/system/docker/docker.ts';
import type { DockerEvent, DockerEvents, DockerListener } from '../../../agent/system/docker/events.ts';
import { createFakeClock, type FakeClock } from '../clock.ts';
import { containerCalls } from './containers.ts';
import { createRegistry, type FakeRegistry, imageCalls } from './images.ts';
import { createLayers } from './layers.ts';
import { ended, isBroken, rebooted } from './lifecycle.ts';
import { addNetwork, BUILT_IN, networkCalls } from './networks.ts';
import { noAnswer, serverError } from './refusals.ts';
import { containerOf, type FakeContainer, imageOf, type State } from './state.ts';
import { volumeCalls } from './volumes.ts';

export interface FakeDocker {
  docker: Docker;
  events: DockerEvents;
  registry: FakeRegistry;
  clock: FakeClock;
  /** The state, for tests that inspect it. */
  containers(): FakeContainer[];
  /** `tcp/80`: ports that programs of the host use. */
  hostPorts: Set<string>;
  /** Names of containers and images that it cannot inspect → what it says about them. */
  uninspectable: Map<string, string>;
  /** Commands that were executed in containers, as `name: argv`. */
  ran: string[];
  info: EngineInfo;
  version: { version: string; api: string };
  /** The Docker engine is unreachable, and sends no events, until `back`. */
  goAway(): void;
  comeBack(): void;
  /** Everything that it unpacked is on the disk now. */
  sync(): void;
  /** Its host loses power and boots: unpacked files without a sync are empty, containers start as their policies say. */
  powerCut(): void;
  /** Names of containers whose image has empty files. */
  broken(): string[];
  /** The process of a container ends by itself, or is killed. */
  end(name: string, code?: number): void;
}

const ID = 64;

export function createFakeDocker(clock: FakeClock = createFakeClock()): FakeDocker {
  let count = 0;
  let away = false;
  const listeners = new Set<DockerListener>();
  const fetched: string[] = [];
  const hex = (text: string) => createHash('sha256').update(text).digest('hex').slice(0, ID);
  const state: State = {
    clock,
    containers: new Map(),
    networks: new Map(),
    volumes: new Map(),
    images: new Map(),
    layers: createLayers(fetched),
    hostPorts: new Set(),
    ran: [],
    newId: () => hex(`thing ${++count}`),
    tell(event) {
      if (away) return;
      for (const listener of listeners) if (isAskedFor(listener, event)) listener.event(structuredClone(event));
    },
  };
  for (const Name of BUILT_IN) addNetwork(state, { Name, Driver: Name === 'none' ? 'null' : Name }, true);
  const shop = createRegistry(hex, fetched);
  const uninspectable = new Map<string, string>();
  const calls: Docker = {
    ...containerCalls(state),
    ...networkCalls(state),
    ...volumeCalls(state),
    ...imageCalls(state, shop),
    ...inspecting(state, shop, uninspectable),
    version: async () => fake.version,
    info: async () => fake.info,
  };
  const fake: FakeDocker = {
    docker: explained(
      reachable(calls, () => away),
      '/run/docker.sock',
    ),
    events: {
      async follow(listener, signal) {
        listeners.add(listener);
        signal.addEventListener('abort', () => listeners.delete(listener), { once: true });
        listener.listening(!away);
        if (!away) listener.gap();
      },
      labels: async () => new Map([...state.containers.values()].map((c) => [c.id, c.config.Labels])),
    },
    registry: shop.registry,
    clock,
    containers: () => [...state.containers.values()],
    hostPorts: state.hostPorts,
    uninspectable,
    ran: state.ran,
    info: {
      ...{ CgroupVersion: '2', MemoryLimit: true, SwapLimit: true, PidsLimit: true, OomKillDisable: false },
      ...{ DockerRootDir: '/var/lib/docker', Driver: 'overlay2' },
    },
    version: { version: '26.1.5', api: '1.45' },
    goAway() {
      away = true;
      for (const listener of listeners) listener.listening(false);
    },
    comeBack() {
      away = false;
      for (const listener of listeners) {
        listener.listening(true);
        listener.gap();
      }
    },
    sync: () => state.layers.sync(),
    powerCut() {
      state.layers.powerCut();
      for (const c of state.containers.values()) rebooted(state, c);
    },
    broken: () => [...state.containers.values()].filter((c) => isBroken(state, c)).map(({ name }) => name),
    end: (name, code = 137) => ended(state, containerOf(state, name), code),
  };
  return fake;
}

/** Inspections of containers and images that may be damaged: the lists have them all the same. */
function inspecting(
  state: State,
  shop: ReturnType<typeof createRegistry>,
  damaged: ReadonlyMap<string, string>,
): Pick<Docker, 'inspect' | 'image'> {
  const refuse = (names: readonly string[]) => {
    for (const name of names) if (damaged.has(name)) throw serverError(damaged.get(name) ?? '');
  };
  return {
    async inspect(id) {
      refuse([state.containers.get(id)?.name ?? id]);
      return containerCalls(state).inspect(id);
    },
    async image(name) {
      refuse([name, ...(imageOf(state, name)?.tags ?? [])]);
      return imageCalls(state, shop).image(name);
    },
  };
}

/** Calls of a Docker engine that may be unreachable. */
function reachable(calls: Docker, isAway: () => boolean): Docker {
  return new Proxy(calls, {
    get(target, name: keyof Docker) {
      return isAway() ? () => Promise.reject(noAnswer()) : target[name];
    },
  });
}

function isAskedFor({ filters }: DockerListener, { Type, Action }: DockerEvent): boolean {
  return filters.type.includes(Type) && filters.event.includes(Action.split(':')[0] ?? '');
}
