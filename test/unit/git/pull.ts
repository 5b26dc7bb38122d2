/** The agent's source on a test repository, pulled as the engine pulls. */
import path from 'node:path';
import type { Review } from '../../../agent/core/provider.ts';
import { NO_RECORD, type Provenance, type TrustRecord, unrecorded, withAccepted } from '../../../agent/core/trust.ts';
import type { Checkout } from '../../../agent/core/types.ts';
import type { SourceOptions } from '../../../agent/git/access.ts';
import { createSource, type GitSource } from '../../../agent/git/source.ts';
import { exec } from '../../../agent/system/exec.ts';

export interface Puller {
  /** A whole run: head, review and, unless it is held, checkout; then the work after the run. */
  pull(allowRewind?: boolean): Promise<{ review: Review; checkout: Checkout | null }>;
  /** The same without the work after the run. */
  begin(allowRewind?: boolean): Promise<{ review: Review; checkout: Checkout | null }>;
  head(): Promise<string>;
  /** The engine's memory: the last accepted commit, and the newest accepted one of this url and ref. */
  accepted: string | null;
  newest: Provenance | null;
  readonly source: GitSource;
  readonly gitdir: string;
  readonly log: string[];
}

export const noSignal = new AbortController().signal;

export function createPuller(root: string, options: Partial<SourceOptions> & { url: string }): Puller {
  const log: string[] = [];
  const say = (_: object, message: string) => void log.push(message);
  const gitdir = options.gitdir ?? path.join(root, 'store');
  const source = createSource({
    ref: 'main',
    path: 'hosts/edge-1',
    env: {},
    exec,
    log: { debug: say, info: say, warn: say, error: say },
    ...options,
    gitdir,
  });
  const puller: Puller = {
    accepted: null,
    newest: null,
    source,
    gitdir,
    log,
    head: () => source.head(noSignal),
    async pull(allowRewind) {
      const pulled = await puller.begin(allowRewind);
      await source.settled();
      return pulled;
    },
    async begin(allowRewind = false) {
      const commit = await source.head(noSignal);
      const { accepted } = puller;
      const isKnown = accepted === null || accepted === puller.newest?.commit;
      const newest = isKnown ? puller.newest : unrecorded(source.id, accepted);
      const review = await source.review(commit, { accepted, newest, named: false, allowRewind }, noSignal);
      if (review.hold !== null) return { review, checkout: null };
      const checkout = await source.checkout(commit, noSignal);
      puller.accepted = commit;
      puller.newest = withAccepted(recordOf(newest), review.provenance).newest[source.id] ?? null;
      return { review, checkout };
    },
  };
  return puller;
}

const recordOf = (newest: Provenance | null): TrustRecord =>
  newest === null ? NO_RECORD : { newest: { [newest.source]: newest }, accepted: [] };

/** The files of a checkout as text. */
export const texts = (checkout: Checkout | null): Record<string, string> =>
  Object.fromEntries([...(checkout?.files ?? [])].map(([name, bytes]) => [name, Buffer.from(bytes).toString()]));

/** The code and message of the AgentError with which `work` fails. */
export async function failure(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'no error';
  } catch (thrown) {
    const { code, message } = thrown as { code?: string; message: string };
    return `${code}: ${message}`;
  }
}
