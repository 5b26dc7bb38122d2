/** Follows a fleet until the caller stops, over one connection after another. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { AnyEvent } from '../../manifests-schema/payloads.ts';
import type { AgentError } from '../errors.ts';
import type { BrokerSettings } from '../system/mqtt.ts';
import { openLink, randomWord, sha256 } from './client.ts';
import { followFleet } from './reader/live.ts';
import type { FleetRow } from './reader/model.ts';
import type { FleetReading } from './reader/read.ts';

export interface FollowListener {
  /** The fleet was read completely: at the beginning, and after each lost connection. The rows stay up to date. */
  onRead(rows: ReadonlyMap<string, FleetRow>, way: FleetReading['way']): void;
  onRow(host: string, row: FleetRow | null): void;
  onEvent?(event: AnyEvent): void;
  /** The connection was lost, or could not be made again. @param pauseMs until the next try */
  onLost(error: AgentError, pauseMs: number): void;
}

export interface FollowForeverOptions {
  broker: BrokerSettings;
  prefix: string;
  fleet: string;
  hosts?: readonly string[];
  /** As in a reading (reader/kept.ts). */
  rollCallMs?: number;
  /** The reader has left. */
  signal: AbortSignal;
}

const FIRST_PAUSE_MS = 1_000;
const MAX_PAUSE_MS = 30_000;

/** @returns when `signal` is aborted. Throws AgentError `BrokerUnreachable` if the fleet cannot be read at the beginning */
export async function followForever(options: FollowForeverOptions, listener: FollowListener): Promise<void> {
  const { broker, prefix, fleet, hosts, rollCallMs, signal } = options;
  const { onRead, onRow, onEvent, onLost } = listener;
  const left = new Promise<null>((resolve) => {
    if (signal.aborted) resolve(null);
    signal.addEventListener('abort', () => resolve(null), { once: true });
  });
  let hasRead = false;
  for (let pauseMs = FIRST_PAUSE_MS; !signal.aborted; pauseMs = Math.min(2 * pauseMs, MAX_PAUSE_MS)) {
    try {
      const lost = Promise.withResolvers<AgentError>();
      const feed = await followFleet({
        ...{ link: await openLink(broker, 'watch'), prefix, fleet, sha256, word: randomWord() },
        ...(hosts ? { hosts } : {}),
        ...(rollCallMs === undefined ? {} : { rollCallMs }),
        ...{ onRow, onEnd: lost.resolve },
        ...(onEvent ? { onEvent } : {}),
      });
      hasRead = true;
      pauseMs = FIRST_PAUSE_MS;
      onRead(feed.rows, feed.way);
      const ended = await Promise.race([lost.promise, left]);
      await feed.close();
      if (ended) throw ended;
    } catch (thrown) {
      if (!hasRead) throw thrown;
      onLost(thrown as AgentError, pauseMs);
      await sleep(pauseMs, undefined, { signal }).catch(() => undefined);
    }
  }
}
