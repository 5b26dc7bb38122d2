/** The images that services need are on the host before anything is stopped. */
import type { ServiceSpec } from '../compose/model.ts';
import type { Progress, Work } from '../core/provider.ts';
import type { ResourceId } from '../core/types.ts';
import { AgentError, asAgentError } from '../errors.ts';
import type { Docker } from '../system/docker.ts';
import type { ServiceFact } from './service-fact.ts';

/** Pulls that go on side by side. */
const PULLS = 3;

/** Pulls what is needed for containers that are to be made. Failures by id. */
export async function pullImages(
  docker: Docker,
  work: readonly Work<ServiceSpec, ServiceFact>[],
  signal: AbortSignal,
  tell: (progress: Progress) => void = () => undefined,
): Promise<ReadonlyMap<ResourceId, AgentError>> {
  const failures = new Map<ResourceId, AgentError>();
  const images = Map.groupBy(
    work.filter((w) => w.change.op === 'create' || w.change.op === 'replace'),
    (w) => w.want.spec.image,
  );
  const queue = [...images];
  const worker = async () => {
    for (let next = queue.shift(); next && !signal.aborted; next = queue.shift()) {
      const [image, users] = next;
      try {
        await ensureImage(docker, image, users[0]?.want.spec.pullPolicy ?? 'missing', signal, tell);
      } catch (thrown) {
        const { message } = asAgentError(thrown, { code: 'ImagePullFailed', phase: 'prepare' });
        const error = new AgentError({
          code: 'ImagePullFailed',
          phase: 'prepare',
          retry: true,
          message: `${message}; what runs is left alone, and it will be tried again`,
        });
        for (const { want } of users) failures.set(want.id, error);
      }
    }
  };
  await Promise.all(Array.from({ length: PULLS }, worker));
  return failures;
}

async function ensureImage(
  docker: Docker,
  image: string,
  policy: ServiceSpec['pullPolicy'],
  signal: AbortSignal,
  tell: (progress: Progress) => void,
): Promise<void> {
  if (policy !== 'always' && (await docker.hasImage(image))) return;
  if (policy === 'never') {
    throw new AgentError({
      code: 'ImageMissing',
      phase: 'prepare',
      retry: true,
      message: `image ${image} is not on this host and pull_policy is never; load it`,
    });
  }
  await docker.pull(image, {
    signal,
    tell: (doneBytes, totalBytes) => tell({ image, doneBytes, totalBytes }),
  });
}
