/** The agent's source on a test repository, pulled the way the engine does it. */
import path from 'node:path';
import type { Review } from '../../../agent/core/provider.ts';
import type { Checkout } from '../../../agent/core/types.ts';
import type { SourceOptions } from '../../../agent/git/access.ts';
import { createSource } from '../../../agent/git/source.ts';
import { exec } from '../../../agent/system/exec.ts';

export interface Puller {
  /** head, review and, where nothing holds it, checkout: what a run does; then what comes after it. */
  pull(allowRewind?: boolean): Promise<{ review: Review; checkout: Checkout | null }>;
  /** The same as long as the run goes on. */
  begin(allowRewind?: boolean): Promise<{ review: Review; checkout: Checkout | null }>;
  head(): Promise<string>;
  /** What the engine would remember. */
  accepted: string | null;
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
      const request = { accepted: puller.accepted, sameSource: true, allowRewind };
      const review = await source.review(commit, request, noSignal);
      if (review.hold !== null) return { review, checkout: null };
      const checkout = await source.checkout(commit, noSignal);
      puller.accepted = commit;
      return { review, checkout };
    },
  };
  return puller;
}

/** The files of a checkout as text. */
export const texts = (checkout: Checkout | null): Record<string, string> =>
  Object.fromEntries([...(checkout?.files ?? [])].map(([name, bytes]) => [name, Buffer.from(bytes).toString()]));

/** The code of the AgentError that `work` ends with, and its message. */
export async function failure(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'no error';
  } catch (thrown) {
    const { code, message } = thrown as { code?: string; message: string };
    return `${code}: ${message}`;
  }
}
