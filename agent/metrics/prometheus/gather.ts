/** Asks the daemon's parts for what its metrics say now, and writes them as text. */
import { existsSync } from 'node:fs';
import type { StatusDocument } from '../../../manifests-schema/payloads.ts';
import type { Problem, ResourceStatus } from '../../core/types.ts';
import type { Store } from '../../store/db.ts';
import { lastRead } from '../../store/disk/last-read.ts';
import type { Tally } from '../tally.ts';
import { familiesOf } from './families.ts';
import { renderText } from './text.ts';

export interface GatherOptions {
  status(): StatusDocument;
  problems(): readonly Problem[];
  resources(): readonly ResourceStatus[];
  isConnected(): boolean | null;
  tally: Tally;
  store: Pick<Store, 'outbox' | 'runs' | 'facts'>;
  startedAt: Date;
  /** '' for this machine, or the directory that stands for `/`. */
  root: string;
}

export interface Gathered {
  text: string;
  /** The same without values that change after each run: if this text is unchanged, nothing happened to the host. */
  steady: string;
}

/** @returns a function that gathers them all */
export function createGather(options: GatherOptions): () => Gathered {
  const { tally, store, startedAt, root } = options;
  /** From before this start: asked once. */
  let earlier: number | null | undefined;
  const lastGoodMs = lastRead(() => store.runs.lastGoodMs(), null);
  const waiting = lastRead(() => store.outbox.count(), 0);
  return () => {
    const status = options.status();
    const counts = tally.counts();
    if (earlier === undefined) earlier = lastGoodMs() ?? parsed(status.applied?.at);
    const { user, system } = process.cpuUsage();
    const families = familiesOf({
      status,
      problems: options.problems(),
      resources: options.resources(),
      counts,
      outbox: waiting(),
      isConnected: options.isConnected(),
      needsReboot: needsReboot(root),
      goodMs: earlier,
      process: {
        startedMs: startedAt.getTime(),
        cpuSeconds: (user + system) / 1e6,
        rssBytes: process.memoryUsage.rss(),
      },
    });
    return { text: renderText(families), steady: renderText(families.filter(({ isRestless }) => !isRestless)) };
  };
}

const parsed = (at: string | undefined): number | null => (at === undefined ? null : Date.parse(at));

/** Debian and its relatives leave a note; nobody else says. */
const needsReboot = (root: string): boolean | null =>
  existsSync(`${root}/var/lib/dpkg/status`) ? existsSync(`${root}/run/reboot-required`) : null;
