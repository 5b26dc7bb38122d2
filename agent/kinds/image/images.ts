/** The images of services: here before anything is stopped, asked for anew when that is due, removed when nobody needs them. */
import { type ReasonCode, reasonOf } from '../../../manifests-schema/reasons.ts';
import type { PullPolicy, ServiceSpec } from '../../compose/stack/model.ts';
import { isPinned, isPlatform, listedName, platformText, registryOf, repositoryOf } from '../../core/image-name.ts';
import type { Progress, Work } from '../../core/provider.ts';
import type { Desired, ResourceId } from '../../core/types.ts';
import { AgentError, asAgentError } from '../../errors.ts';
import type { ImageRecords } from '../../store/images.ts';
import type { Clock } from '../../system/clock.ts';
import type { Docker, ImageInfo } from '../../system/docker/docker.ts';
import type { Credential, Credentials } from '../../system/docker/registry-credentials.ts';
import { sideBySide } from '../../system/side-by-side.ts';
import { imageMounts } from '../docker/image-mounts.ts';
import { explainPull } from './errors.ts';
import { removeOldImages } from './tidy.ts';

export interface ImagesOptions {
  docker: Docker;
  credentials: Credentials;
  records: ImageRecords;
  clock: Clock;
}

export interface Pulling {
  signal: AbortSignal;
  tell(progress: Progress): void;
}

export interface Images {
  /** Pulls what is missing for containers that are to be made. Failures by id. */
  ensure(work: readonly Work<ServiceSpec>[], how: Pulling): Promise<Map<ResourceId, AgentError>>;
  /**
   * Asks the registries about images that are here and whose `pull_policy` wants that now, and pulls those that are others
   * by now. What runs is not touched. Failures by id; null where none wants that.
   * @param how.asked a person asks for it, or a new commit does: then `always` does not wait
   */
  renew(
    wants: readonly Desired<ServiceSpec>[],
    how: Pulling & { asked: boolean },
  ): Promise<Map<ResourceId, AgentError> | null>;
  /** Removes old ones. @param kept all that may be gone back to */
  tidy(kept: readonly Desired<ServiceSpec>[], signal: AbortSignal): Promise<void>;
}

/** Pulls that go on side by side. */
const WIDTH = 3;
/** How often a schedule asks about an image that is always to be the newest: each time is a pull to a registry that counts. */
const ALWAYS_SECONDS = 900;

/** An image that a service needs. */
interface Use {
  id: ResourceId;
  image: string;
  platform: string;
  policy: PullPolicy;
}

/** One image for one platform, and who wants it. */
interface Wanted {
  image: string;
  platform: string;
  users: readonly Use[];
}

export function createImages({ docker, credentials, records, clock }: ImagesOptions): Images {
  async function pull({ image, platform }: Wanted, before: ImageInfo | undefined, how: Pulling): Promise<void> {
    const ids = new Set(await docker.imageIds());
    const registry = registryOf(image);
    const tell = (doneBytes: number, totalBytes: number) => how.tell({ image, doneBytes, totalBytes });
    let credential: Credential | null = null;
    try {
      credential = await credentials.of(registry, repositoryOf(image));
      await docker.pull(image, { platform, auth: credential?.auth ?? null, signal: how.signal, tell });
    } catch (thrown) {
      throw explainPull({ image, thrown, credential, places: credentials.places(registry) });
    }
    const now = await docker.image(image);
    if (now === undefined)
      throw failed('ImagePullFailed', `image ${image} was pulled, and is not there; is it removed by somebody?`);
    const ours = records.pulled().some((p) => p.id === now.id);
    // Not before the engine has it: an image that was here already is never taken for ours.
    if (now.id !== before?.id && (ours || !ids.has(now.id)))
      records.addPulled({ name: image, id: now.id }, clock.now());
    records.setAsked(image, platform, clock.now());
    if (!isPlatform(platform, now.platform))
      throw failed(
        'ImagePullFailed',
        `image ${image} was pulled for ${platform}, and is for ${platformText(now.platform)}; push it for this platform, or mend \`platform\``,
      );
  }

  async function ensureOne(wanted: Wanted, how: Pulling): Promise<void> {
    const { image, platform, users } = wanted;
    const here = await docker.image(image);
    if (here && isPlatform(platform, here.platform)) return;
    if (users.every((u) => u.policy.when === 'never')) {
      const what = here ? `is here for ${platformText(here.platform)} only` : 'is not on this host';
      const message = `image ${image} ${what}, and pull_policy is never; load it with \`docker load\`, or let it be pulled`;
      throw failed('ImageMissing', message);
    }
    await pull(wanted, here, how);
  }

  async function renewOne(wanted: Wanted, how: Pulling & { asked: boolean }): Promise<void> {
    const { image, platform, users } = wanted;
    const last = records.askedAt(image, platform);
    const period = Math.min(...users.map((u) => periodOf(u, how.asked)));
    if (!isDue(last, period)) return;
    const here = await docker.image(image);
    // What is missing is pulled where a container is to be made of it.
    if (here === undefined || !isPlatform(platform, here.platform)) return;
    if (await isCurrent(image, here)) records.setAsked(image, platform, clock.now());
    else await pull(wanted, here, how);
  }

  const isDue = (last: Date | null, seconds: number): boolean =>
    last === null || clock.now().getTime() - last.getTime() >= seconds * 1_000;

  /** Where that cannot be told the pull will, and with a better word why it fails. */
  async function isCurrent(image: string, here: ImageInfo): Promise<boolean> {
    try {
      const credential = await credentials.of(registryOf(image), repositoryOf(image));
      const digest = await docker.registryDigest(listedName(image), credential?.auth ?? null);
      return here.digests.some((known) => known.endsWith(`@${digest}`));
    } catch {
      return false;
    }
  }

  return {
    ensure: (work, how) =>
      each(
        work.filter(makesContainers).flatMap((w) => usesOf(w.want)),
        how,
        (wanted) => ensureOne(wanted, how),
      ),
    async renew(wants, how) {
      const due = wants
        .flatMap(usesOf)
        .filter(({ policy, image }) => ['always', 'refresh'].includes(policy.when) && !isPinned(image));
      return due.length === 0 ? null : each(due, how, (wanted) => renewOne(wanted, how));
    },
    tidy(kept, signal) {
      const names = kept.flatMap(usesOf).map(({ image }) => image);
      return removeOldImages({ docker, records, kept: new Set(names), signal });
    },
  };
}

/**
 * The image it runs on, those of what is run before its start, and those that it mounts: these are pulled where they are
 * missing, whatever `pull_policy` says.
 */
const usesOf = ({ id, spec }: Desired<ServiceSpec>): Use[] => [
  { id, image: spec.image, platform: spec.platform, policy: spec.pullPolicy },
  ...spec.preStart
    .filter(({ image }) => image !== '')
    .map(({ image }) => ({ id, image, platform: '', policy: spec.pullPolicy })),
  ...imageMounts(spec).map(({ source }) => ({ id, image: source, platform: '', policy: MISSING })),
];

const MISSING: PullPolicy = { when: 'missing', everySeconds: 0 };

const periodOf = ({ policy }: Use, asked: boolean): number =>
  policy.when === 'always' ? (asked ? 0 : ALWAYS_SECONDS) : policy.everySeconds;

/** Once an image, however many want it; a few at a time. */
async function each(
  uses: readonly Use[],
  { signal }: Pulling,
  act: (wanted: Wanted) => Promise<void>,
): Promise<Map<ResourceId, AgentError>> {
  const failures = new Map<ResourceId, AgentError>();
  const groups = Map.groupBy(uses, ({ image, platform }) => `${image} ${platform}`);
  await sideBySide([...groups.values()], WIDTH, async (users) => {
    if (signal.aborted) return;
    const { image = '', platform = '' } = users[0] ?? {};
    try {
      await act({ image, platform, users });
    } catch (thrown) {
      const error = signal.aborted ? failed('Stopped', 'the agent was stopped during a pull') : leftAlone(thrown);
      for (const { id } of users) failures.set(id, error);
    }
  });
  return failures;
}

const failed = (code: ReasonCode, message: string, retryAfterMs = 0) =>
  new AgentError({ code, phase: 'prepare', message, retryAfterMs });

const leftAlone = (thrown: unknown): AgentError => {
  const { code, message, retryAfterMs } = asAgentError(thrown, { code: 'ImagePullFailed', phase: 'prepare' });
  const again = reasonOf(code).retry ? ', and it will be tried again' : '';
  return failed(code, `${message}; what runs is left alone${again}`, retryAfterMs);
};

/** More of them are an update, and need the image all the same. */
const makesContainers = ({ change }: Work<ServiceSpec>): boolean =>
  change.op === 'create' ||
  change.op === 'replace' ||
  (change.op === 'update' && change.why.some((reason) => reason.field === 'scale'));
