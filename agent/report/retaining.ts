/** Publishes the retained documents of a host: status, resources and history, each when it has changed and at its own pace. */
import { hash } from 'node:crypto';
import type { StatusDocument } from '../../manifests-schema/payloads.ts';
import type { Channel, RetainedDocuments } from '../core/channel.ts';
import type { RecentHistory } from '../core/reporting/recent-history.ts';
import type { ResourceStatus } from '../core/types.ts';
import type { Clock } from '../system/clock.ts';
import {
  createPace,
  HISTORY_EVERY_MS,
  newsOf,
  type Pace,
  RESOURCES_EVERY_MS,
  STATUS_BEAT_MS,
  STATUS_EVERY_MS,
} from './pace.ts';

export interface RetainingOptions {
  channel: Pick<Channel, 'retain'>;
  clock: Pick<Clock, 'sleep' | 'monotonic'>;
  /** Returns the retained document; called at the moment of sending, because an older one may no longer be true. */
  status(): StatusDocument;
  /** The very same list as long as it says the same. */
  resources(): readonly ResourceStatus[];
  history: {
    /** The same number as long as `document` does not change. */
    revision(): number;
    document(): RecentHistory;
  };
  /** A run is in progress. */
  busy(): boolean;
}

export interface Retaining {
  /**
   * Publishes changes. @param isHurried ignore the pace
   * @returns milliseconds until something is to be looked at again. Throws AgentError `PublishFailed`
   */
  look(isHurried: boolean): Promise<number>;
  /** The far end may have lost all of it. */
  forget(): void;
}

/** Only news is a reason to look at it again. */
const NEVER = Number.POSITIVE_INFINITY;
const digestOf = (said: unknown): string => hash('sha256', JSON.stringify(said));

export function createRetaining(options: RetainingOptions): Retaining {
  const { channel, clock } = options;
  const paces = {
    status: createPace({ everyMs: STATUS_EVERY_MS, beatMs: STATUS_BEAT_MS }),
    resources: createPace({ everyMs: RESOURCES_EVERY_MS }),
    history: createPace({ everyMs: HISTORY_EVERY_MS }),
  };
  /** The run that the far end knows of, and since when another one is at work that it does not know of. */
  let knownRun: number | undefined;
  let interimSince: number | null = null;
  /** The last list that was checked, and its digest; a hash, since the list may be long. */
  let list: { resources: readonly ResourceStatus[]; digest: string } | null = null;
  let history: { revision: number; digest: string } | null = null;
  /**
   * The end of a run that somebody waits for, by push or by hand. Such runs are rare, so they are not held back by the pace.
   */
  const isAwaited = ({ run }: StatusDocument): boolean =>
    run !== null && run?.id !== knownRun && (run?.trigger === 'push' || run?.trigger === 'manual');

  /** @returns milliseconds until its next check; so do those below */
  async function retainStatus(isHurried: boolean): Promise<number> {
    const now = clock.monotonic();
    const wait = paces.status.waitMs(now);
    const status = options.status();
    if (wait > 0 && !isHurried && !isAwaited(status)) return wait;
    // A step under way is published only if the run takes a while; otherwise it would delay the status of the run's end.
    const isInterim = options.busy() && status.run !== null && status.run?.id === knownRun;
    interimSince = isInterim ? (interimSince ?? now) : null;
    if (interimSince !== null && now - interimSince < STATUS_EVERY_MS && !isHurried)
      return STATUS_EVERY_MS - (now - interimSince);
    if (await say('status', status, digestOf(newsOf(status)))) knownRun = status.run?.id;
    return paces.status.restMs(now);
  }

  async function retainResources(isHurried: boolean): Promise<number> {
    const wait = paces.resources.waitMs(clock.monotonic());
    if (wait > 0 && !isHurried) return wait;
    const resources = options.resources();
    if (resources !== list?.resources) list = { resources, digest: digestOf(resources) };
    await say('resources', { schema: 1, resources }, list.digest);
    return NEVER;
  }

  async function retainHistory(isHurried: boolean): Promise<number> {
    const wait = paces.history.waitMs(clock.monotonic());
    if (wait > 0 && !isHurried) return wait;
    const revision = options.history.revision();
    if (revision === history?.revision && !paces.history.isDue(history.digest, clock.monotonic())) return NEVER;
    const document = options.history.document();
    history = { revision, digest: digestOf(document) };
    await say('history', document, history.digest);
    return NEVER;
  }

  /** @returns whether the far end has it */
  async function say<Name extends keyof typeof paces>(
    name: Name,
    document: RetainedDocuments[Name],
    digest: string,
  ): Promise<boolean> {
    const pace: Pace = paces[name];
    if (!pace.isDue(digest, clock.monotonic())) return true;
    const isTaken = (await channel.retain(name, document)) === 'taken';
    if (isTaken) pace.said(digest, clock.monotonic());
    else pace.refused(clock.monotonic());
    return isTaken;
  }

  return {
    look: async (isHurried) =>
      Math.min(await retainStatus(isHurried), await retainResources(isHurried), await retainHistory(isHurried)),
    forget() {
      for (const pace of Object.values(paces)) pace.forget();
    },
  };
}
