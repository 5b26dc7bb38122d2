/** Images of a Docker engine in memory, and their registry. */
import type { Docker, ImageConfig, ImageInfo } from '../../../agent/system/docker/docker.ts';
import { conflict, refusal, serverError } from './refusals.ts';
import { type FakeImage, imageOf, type State } from './state.ts';

/** What `push` takes of an image. */
export interface Pushed {
  config?: ImageConfig;
  /** A different word makes a different image. */
  content?: string;
  platform?: Partial<ImageInfo['platform']>;
  /** From the lowest; one of its own by default. */
  layers?: readonly string[];
  program?: FakeImage['program'];
}

export interface FakeRegistry {
  /** `name:tag` is this image from now on. @returns its id */
  push(name: string, pushed?: Pushed): string;
  /** The error for each pull of this name; null lets it succeed again. */
  fail(name: string, said: string | null): void;
  /** The next pull of this name fetches this many layers, and then never ends. */
  stall(name: string, layers: number): void;
  /** Names that were pulled, in order. */
  pulled: string[];
  /** Layers that were fetched, in order. */
  fetched: string[];
}

/** @param hex the hash of a text, for digests @param fetched gets the fetched layers */
export function createRegistry(hex: (text: string) => string, fetched: string[]) {
  const shelf = new Map<string, FakeImage>();
  const failures = new Map<string, string>();
  const stalls = new Map<string, number>();
  const registry: FakeRegistry = {
    pulled: [],
    fetched,
    stall: (name, layers) => void stalls.set(name, layers),
    push(name, { config = {}, content = name, platform = {}, layers, program } = {}) {
      const whole = { os: 'linux', architecture: 'amd64', variant: '', ...platform };
      const id = `sha256:${hex(JSON.stringify([content, config, whole]))}`;
      const repository = name.replace(/:[^:/]*$/, '');
      shelf.set(name, {
        ...{ id, config, platform: whole, content: hex(content), tags: [name] },
        digests: [`${repository}@${id}`],
        layers: layers ?? [id],
        ...(program ? { program } : {}),
      });
      return id;
    },
    fail(name, said) {
      if (said === null) failures.delete(name);
      else failures.set(name, said);
    },
  };
  /** @throws the Docker engine's error if it cannot be pulled */
  const find = (name: string): FakeImage => {
    const said = failures.get(name);
    if (said !== undefined) throw serverError(said);
    const found = name.includes('@')
      ? [...shelf.values()].find(({ digests }) => digests.includes(name))
      : shelf.get(/:[^/]*$/.test(name) ? name : `${name}:latest`);
    if (found === undefined)
      throw refusal(404, 'no such image', `manifest for ${name} not found: manifest unknown: manifest unknown`);
    return found;
  };
  /** @returns the number of layers after which this pull stalls; undefined if it does not */
  const stallOf = (name: string): number | undefined => {
    const most = stalls.get(name);
    stalls.delete(name);
    return most;
  };
  return { registry, find, stallOf };
}

type Calls = 'image' | 'imageIds' | 'pull' | 'login' | 'registryDigest' | 'removeImage';

export function imageCalls(
  state: State,
  { registry, find, stallOf }: ReturnType<typeof createRegistry>,
): Pick<Docker, Calls> {
  return {
    async image(name) {
      const found = imageOf(state, name);
      if (found === undefined) return undefined;
      const { program: _, layers: __, ...info } = found;
      return structuredClone(info);
    },
    imageIds: async () => [...state.images.keys()],
    async pull(name, { signal, tell }) {
      registry.pulled.push(name);
      const image = find(name);
      if (signal.aborted) throw serverError('context canceled');
      const most = stallOf(name);
      const before = registry.fetched.length;
      state.layers.bring(image, most);
      if (registry.fetched.length > before) tell?.(1, 1);
      if (most !== undefined) await new Promise(() => undefined);
      keep(state, name.includes('@') ? { ...image, tags: [] } : image);
    },
    login: async () => undefined,
    registryDigest: async (name) => find(name).id,
    async removeImage(name) {
      const image = imageOf(state, name);
      if (image === undefined) throw refusal(404, 'no such image', `No such image: ${name}`);
      const left = name === image.id ? [] : image.tags.filter((tag) => tag !== name);
      const isUsed = [...state.containers.values()].some((c) => c.imageId === image.id);
      if (left.length === 0 && isUsed)
        throw conflict(
          `conflict: unable to delete ${name} (cannot be forced) - image is being used by running container`,
        );
      if (left.length > 0) state.images.set(image.id, { ...image, tags: left });
      else {
        state.images.delete(image.id);
        state.layers.release(image, [...state.images.values()]);
      }
      return true;
    },
  };
}

/** Stores it on the host; its tags are moved from whatever had them before. */
export function keep(state: State, image: FakeImage): void {
  for (const [id, other] of state.images)
    if (id !== image.id && other.tags.some((tag) => image.tags.includes(tag)))
      state.images.set(id, { ...other, tags: other.tags.filter((tag) => !image.tags.includes(tag)) });
  const before = state.images.get(image.id);
  state.images.set(image.id, { ...image, tags: [...new Set([...(before?.tags ?? []), ...image.tags])] });
}
