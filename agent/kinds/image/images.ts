/** Images of services: pulled before anything is stopped, renewed when that is due, and removed when nothing needs them. */
import { type ReasonCode, reasonOf } from '../../../manifests-schema/reasons.ts';
import type { PullPolicy, ServiceSpec } from '../../compose/stack/model.ts';
import {
  isPinned,
  isPlatform,
  listedName,
  platformText,
  registryOf,
  repositoryOf,
} from '../../core/names/image-name.ts';
import type { Progress, Work } from '../../core/provider.ts';
import type { Desired, ResourceId } from '../../core/types.ts';
import { AgentError, asAgentError } from '../../errors.ts';
import type { ImageRecords } from '../../store/inventory/images.ts';
import type { Clock } from '../../system/clock.ts';
import type { Docker, ImageInfo } from '../../system/docker/docker.ts';
import type { Credential, Credentials } from '../../system/docker/registry-credentials.ts';
import { sideBySide } from '../../system/side-by-side.ts';
import { imageMounts } from '../docker/image-mounts.ts';
import { createDurablePulls, failureOf, WIDTH } from './durable-pulls.ts';
import { explainPull } from './errors.ts';
import { keyOf, type Pull, type PullIntents } from './pull-intents.ts';
import { removeOldImages } from './tidy.ts';

export interface ImagesOptions {
  docker: Docker;
  credentials: Credentials;
  records: ImageRecords;
  intents: PullIntents;
  /** Resolves when everything that Docker has unpacked is durable; see `syncEngineData`. */
  sync(signal: AbortSignal): Promise<void>;
  clock: Clock;
}

export interface Pulling {
  signal: AbortSignal;
  tell(progress: Progress): void;
}

export interface Images {
  /** Pulls missing images for containers that will be created. Failures by id. */
  ensure(work: readonly Work<ServiceSpec>[], how: Pulling): Promise<Map<ResourceId, AgentError>>;
  /**
   * Asks the registries about existing images whose `pull_policy` requires it now, and pulls those that changed. Running
   * containers are not affected. Failures by id; null if no image was due.
   * @param how.asked a person or a new commit triggered it: then `always` does not wait
   */
  renew(
    wants: readonly Desired<ServiceSpec>[],
    how: Pulling & { asked: boolean },
  ): Promise<Map<ResourceId, AgentError> | null>;
  /** Removes old images. @param kept all declarations that a rollback may need */
  tidy(kept: readonly Desired<ServiceSpec>[], signal: AbortSignal): Promise<void>;
}

/** How often scheduled runs ask about an image with `always`: registries count each request as a pull. */
const ALWAYS_SECONDS = 900;

/** An image that a service needs. */
interface Use extends Pull {
  id: ResourceId;
  policy: PullPolicy;
}

/** One image for one platform, with the services that need it. */
interface Wanted extends Pull {
  users: readonly Use[];
}

export function createImages({ docker, credentials, records, intents, sync, clock }: ImagesOptions): Images {
  const durable = createDurablePulls({ docker, records, intents, sync });

  /** @param came called when bytes arrive */
  async function fetch({ image, platform }: Pull, how: Pulling, came: () => void): Promise<void> {
    const registry = registryOf(image);
    const tell = (doneBytes: number, totalBytes: number) => {
      came();
      how.tell({ image, doneBytes, totalBytes });
    };
    let credential: Credential | null = null;
    try {
      credential = await credentials.of(registry, repositoryOf(image));
      await docker.pull(image, { platform, auth: credential?.auth ?? null, signal: how.signal, tell });
    } catch (thrown) {
      throw explainPull({ image, thrown, credential, places: credentials.places(registry) });
    }
  }

  /** @param had images that were here before @param came called when something new arrives */
  async function pull(wanted: Pull, had: ReadonlySet<string>, how: Pulling, came: () => void): Promise<void> {
    const { image, platform } = wanted;
    const before = await docker.image(image);
    await fetch(wanted, how, came);
    const now = await docker.image(image);
    if (now === undefined)
      throw failed(
        'ImagePullFailed',
        `image ${image} was pulled, but is missing; check whether another program removes it`,
      );
    if (!had.has(now.id)) came();
    const ours = records.pulled().some((p) => p.id === now.id);
    // Recorded only after Docker has the image: an image that was here before never counts as ours.
    if (now.id !== before?.id && (ours || !had.has(now.id)))
      records.addPulled({ name: image, id: now.id }, clock.now());
    records.setAsked(image, platform, clock.now());
    if (!isPlatform(platform, now.platform))
      throw failed(
        'ImagePullFailed',
        `image ${image} was pulled for ${platform}, and is for ${platformText(now.platform)}; push it for this platform, or correct \`platform\``,
      );
  }

  /** @returns whether it must be pulled */
  async function isMissing(wanted: Wanted): Promise<boolean> {
    const { image, platform, users } = wanted;
    const here = await docker.image(image);
    if (here && isPlatform(platform, here.platform)) return false;
    if (users.every((u) => u.policy.when === 'never') && !durable.isOwed(wanted)) {
      const what = here ? `is here for ${platformText(here.platform)} only` : 'is not on this host';
      const message = `image ${image} ${what}, and pull_policy is never; load it with \`docker load\`, or let it be pulled`;
      throw failed('ImageMissing', message);
    }
    return true;
  }

  /** @returns whether it is due, and the registry has another image */
  async function isOutdated(wanted: Wanted, asked: boolean): Promise<boolean> {
    const { image, platform, users } = wanted;
    const last = records.askedAt(image, platform);
    const due = isDue(last, Math.min(...users.map((u) => periodOf(u, asked))));
    const isOwed = durable.isOwed(wanted);
    if (!due && !isOwed) return false;
    const here = await docker.image(image);
    // Other missing images are pulled when a container is created.
    if (here === undefined) return isOwed;
    if (!due || !isPlatform(platform, here.platform)) return false;
    if (!(await isCurrent(image, here))) return true;
    records.setAsked(image, platform, clock.now());
    return false;
  }

  const isDue = (last: Date | null, seconds: number): boolean =>
    last === null || clock.now().getTime() - last.getTime() >= seconds * 1_000;

  /** If the registry cannot be asked, answers false: the pull then reports a better reason. */
  async function isCurrent(image: string, here: ImageInfo): Promise<boolean> {
    try {
      const credential = await credentials.of(registryOf(image), repositoryOf(image));
      const digest = await docker.registryDigest(listedName(image), credential?.auth ?? null);
      return here.digests.some((known) => known.endsWith(`@${digest}`));
    } catch {
      return false;
    }
  }

  /** Handles each image once, however many services use it. @param isWanted whether it must be pulled */
  async function each(
    uses: readonly Use[],
    how: Pulling,
    isWanted: (wanted: Wanted) => Promise<boolean>,
  ): Promise<Map<ResourceId, AgentError>> {
    const { signal } = how;
    const failures = new Map<ResourceId, AgentError>();
    const all = [...Map.groupBy(uses, keyOf).values()].map((users): Wanted => {
      const { image = '', platform = '' } = users[0] ?? {};
      return { image, platform, users };
    });
    if (all.length === 0) return failures;
    const fail = ({ users }: Wanted, thrown: unknown) => {
      const error = signal.aborted ? failed('Stopped', 'the agent was stopped during a pull') : leftAlone(thrown);
      for (const { id } of users) failures.set(id, error);
    };
    const due = new Set<Wanted>();
    const look = (some: readonly Wanted[]) =>
      sideBySide(some, WIDTH, async (wanted) => {
        try {
          if (!signal.aborted && (await isWanted(wanted))) due.add(wanted);
        } catch (thrown) {
          fail(wanted, thrown);
        }
      });
    const { doubtful = [], rest = [] } = Object.groupBy(all, (one) => (durable.isDoubtful(one) ? 'doubtful' : 'rest'));
    await look(rest);
    if (doubtful.length > 0 || due.size > 0) {
      const failed = await durable.resolve((one) => fetch(one, how, () => undefined), signal);
      for (const wanted of doubtful) if (failureOf(failed, wanted)) fail(wanted, failureOf(failed, wanted));
      await look(doubtful.filter((wanted) => failureOf(failed, wanted) === undefined));
    }
    const inOrder = all.filter((wanted) => due.has(wanted));
    const broken = await durable.bring(inOrder, (one, had, came) => pull(one, had, how, came), signal);
    for (const wanted of all) {
      const error = failureOf(broken, wanted);
      if (error !== undefined) fail(wanted, error);
    }
    return failures;
  }

  return {
    ensure: (work, how) =>
      each(
        work.filter(makesContainers).flatMap((w) => usesOf(w.want)),
        how,
        isMissing,
      ),
    async renew(wants, how) {
      const due = wants
        .flatMap(usesOf)
        .filter(({ policy, image }) => ['always', 'refresh'].includes(policy.when) && !isPinned(image));
      return due.length === 0 ? null : each(due, how, (wanted) => isOutdated(wanted, how.asked));
    },
    async tidy(wants, signal) {
      const kept = new Set(wants.flatMap(usesOf).map(({ image }) => image));
      await durable.forgetAllBut(kept);
      await removeOldImages({ docker, records, kept, signal });
    },
  };
}

/**
 * The service's image, those of its pre-start hooks, and those that it mounts: the last two are pulled if they are missing,
 * whatever `pull_policy` says.
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

const failed = (code: ReasonCode, message: string, retryAfterMs = 0) =>
  new AgentError({ code, phase: 'prepare', message, retryAfterMs });

const leftAlone = (thrown: unknown): AgentError => {
  const { code, message, retryAfterMs } = asAgentError(thrown, { code: 'ImagePullFailed', phase: 'prepare' });
  const again = reasonOf(code).retry ? ', and it will be tried again' : '';
  return failed(code, `${message}; what runs is left alone${again}`, retryAfterMs);
};

/** Scaling up is an update, but needs the image as well. */
const makesContainers = ({ change }: Work<ServiceSpec>): boolean =>
  change.op === 'create' ||
  change.op === 'replace' ||
  (change.op === 'update' && change.why.some((reason) => reason.field === 'scale'));
