/** The rows of the fleet for the workers of a relay: read completely, followed, and read again after each outage. */
import type { Log } from '../../log.ts';
import type { Clock } from '../../system/clock.ts';
import type { BrokerSettings } from '../../system/mqtt.ts';
import { openLink, randomWord, sha256 } from '../client.ts';
import { followFleet } from '../reader/live.ts';
import type { FleetRow } from '../reader/model.ts';

export interface RowsOptions {
  broker: BrokerSettings;
  prefix: string;
  fleet: string;
  /** Names of hosts instead of the index on the broker; null for the index. Called repeatedly. Throws if they cannot be read. */
  listHosts(): Promise<readonly string[] | null>;
  clock: Clock;
  log: Log;
}

/** A worker on the rows of the fleet. */
export interface RowsWatcher {
  /** @param isWhole these are all rows; otherwise only the changed ones */
  see(rows: readonly FleetRow[], how: { isWhole: boolean }): void;
  /** Hosts that were forgotten. */
  forget(hosts: readonly string[]): void;
}

/** Changes within this time are handled together, in ms. */
const TOGETHER_MS = 500;
const FIRST_WAIT_MS = 2_000;
const LONGEST_WAIT_MS = 60_000;
/** Interval in which a list is read again, in ms. */
const LIST_MS = 5 * 60_000;

const HOW_TO_NAME = 'name them with `hosts` in relay.yaml';

/** Until `signal` aborts. */
export async function followRows(
  options: RowsOptions,
  watchers: readonly RowsWatcher[],
  signal: AbortSignal,
): Promise<void> {
  const { clock, log } = options;
  for (let waitMs = FIRST_WAIT_MS; !signal.aborted; waitMs = Math.min(LONGEST_WAIT_MS, 2 * waitMs)) {
    try {
      await follow(options, watchers, signal);
      waitMs = FIRST_WAIT_MS;
    } catch (thrown) {
      log.warn(
        { error: thrown instanceof Error ? thrown.message : String(thrown) },
        `the fleet cannot be read; tried again in ${waitMs / 1_000} s`,
      );
    }
    if (!signal.aborted) await clock.sleep(waitMs, signal);
  }
}

/** @returns when `signal` aborts, or the list of hosts has changed. Throws if the fleet cannot be read, or no longer */
async function follow(options: RowsOptions, watchers: readonly RowsWatcher[], signal: AbortSignal): Promise<void> {
  const { broker, prefix, fleet, clock, log } = options;
  const hosts = await options.listHosts();
  const over = new AbortController();
  const until = AbortSignal.any([signal, over.signal]);
  const ended = Promise.withResolvers<never>();
  ended.promise.catch(() => undefined);
  let changed = new Map<string, FleetRow | null>();
  let isLooking = false;
  const look = async () => {
    if (isLooking) return;
    isLooking = true;
    await clock.sleep(TOGETHER_MS);
    isLooking = false;
    const rows = changed;
    changed = new Map();
    const gone = [...rows].filter(([, row]) => row === null).map(([host]) => host);
    for (const watcher of watchers) {
      watcher.forget(gone);
      watcher.see(
        [...rows.values()].filter((row) => row !== null),
        { isWhole: false },
      );
    }
  };
  const feed = await followFleet({
    ...{ link: await openLink(broker, 'relay'), prefix, fleet, sha256, word: randomWord(), howToName: HOW_TO_NAME },
    ...(hosts === null ? {} : { hosts }),
    onRow(host, row) {
      changed.set(host, row);
      void look();
    },
    onEnd: (error) => ended.reject(error),
  });
  try {
    for (const watcher of watchers) watcher.see([...feed.rows.values()], { isWhole: true });
    const left = new Promise<void>((resolve) => {
      if (until.aborted) resolve();
      until.addEventListener('abort', () => resolve(), { once: true });
    });
    if (hosts !== null) void watchList(options, hosts, over, until);
    await Promise.race([ended.promise, left]);
  } finally {
    over.abort();
    await feed.close();
  }
  if (!signal.aborted) log.info({ fleet }, 'the list of hosts is another one now; the fleet is read again');
}

/** Aborts `over` when the list has changed. If it cannot be read, the last list stays in force. */
async function watchList(
  { listHosts, clock, log }: RowsOptions,
  hosts: readonly string[],
  over: AbortController,
  until: AbortSignal,
): Promise<void> {
  while (!until.aborted) {
    await clock.sleep(LIST_MS, until);
    if (until.aborted) return;
    try {
      if (JSON.stringify(await listHosts()) !== JSON.stringify(hosts)) over.abort();
    } catch (thrown) {
      log.warn(
        { error: thrown instanceof Error ? thrown.message : String(thrown) },
        'the list of hosts cannot be read; the last one stays in force',
      );
    }
  }
}
