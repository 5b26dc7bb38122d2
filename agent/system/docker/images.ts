/** Images by the Engine API: looked at, pulled layer by layer with their progress in bytes, removed. */
import { createHash } from 'node:crypto';
import type Dockerode from 'dockerode';
import { createTally, type PullLine } from './pull-tally.ts';
import type { RegistryAuth } from './registry-credentials.ts';
import type { ImageConfig, ImageInfo, PullOptions } from './types.ts';

const TELL_MS = 250;

/**
 * Resolves when the image is on the host. The engine bridges short breaks itself; one without the containerd image store
 * forgets the layers of a pull that failed or was stopped. Ends by itself where nothing at all is heard within the
 * library's time limit for a socket; otherwise it may take as long as it likes.
 */
export async function pullImage(
  docker: Dockerode,
  image: string,
  { signal, platform, auth, tell }: PullOptions,
): Promise<void> {
  const named = /@|:[^/]*$/.test(image) ? image : `${image}:latest`;
  const stream = (await docker.pull(named, {
    abortSignal: signal,
    ...(platform ? { platform } : {}),
    ...(auth ? { authconfig: auth } : {}),
  })) as NodeJS.ReadableStream;
  const tally = createTally();
  let told = 0;
  for await (const line of lines(stream)) {
    if (line.error) throw new Error(line.errorDetail?.message ?? line.error);
    if (!tally.note(line) || Date.now() - told < TELL_MS) continue;
    told = Date.now();
    tell?.(tally.done(), tally.total());
  }
  if (tally.total() > 0) tell?.(tally.done(), tally.total());
}

/** JSON, a line each. */
async function* lines(stream: NodeJS.ReadableStream): AsyncGenerator<PullLine> {
  stream.setEncoding('utf8');
  let rest = '';
  for await (const chunk of stream) {
    const parts = (rest + chunk).split('\n');
    rest = parts.pop() ?? '';
    for (const part of parts) if (part.trim() !== '') yield JSON.parse(part) as PullLine;
  }
  if (rest.trim() !== '') yield JSON.parse(rest) as PullLine;
}

/** By name or id. */
export async function inspectImage(docker: Dockerode, image: string): Promise<ImageInfo> {
  const info = (await docker.getImage(image).inspect()) as Dockerode.ImageInspectInfo & {
    Variant?: string;
  };
  const { Id, Config, Os, Architecture, Variant = '', RootFS, Created, RepoTags, RepoDigests } = info;
  const platform = { os: Os, architecture: Architecture, variant: Variant };
  return {
    id: Id,
    config: (Config ?? {}) as ImageConfig,
    platform,
    content: createHash('sha256')
      .update(JSON.stringify([platform, Created, RootFS?.Layers, Config]))
      .digest('hex'),
    tags: (RepoTags ?? []).filter((tag) => !tag.startsWith('<none>')),
    digests: (RepoDigests ?? []).filter((digest) => !digest.startsWith('<none>')),
  };
}

/** Digest that the registry has for the name now, as asked by the engine; nothing of the image is fetched. */
export async function registryDigest(docker: Dockerode, image: string, auth: RegistryAuth | null): Promise<string> {
  const said = (await docker.getImage(image).distribution(auth ? { authconfig: auth } : {})) as {
    Descriptor: { digest: string };
  };
  return said.Descriptor.digest;
}
