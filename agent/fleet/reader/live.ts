/**
 * Follows a fleet: reads it completely, then receives the messages of its hosts. Runs in a browser as well (read.ts).
 *
 *     const feed = await followFleet({ link, prefix, fleet, sha256, word, onRow: redraw, onEnd: connectAgain });
 *     show(sortRows(feed.rows));
 */
import { type AnyEvent, anyEvent } from '../../../manifests-schema/payloads.ts';
import type { AgentError } from '../../errors.ts';
import { type ReadingOptions, topicsOf } from './kept.ts';
import { type FleetRow, foldMessage, parseJson, unknownRow } from './model.ts';
import { type FleetReading, readWhole } from './read.ts';

export interface FollowOptions extends ReadingOptions {
  /** Called for a new or changed row, with null for a forgotten host; not for rows of the first reading. */
  onRow(host: string, row: FleetRow | null): void;
  /** Called for events, also of hosts without a row. */
  onEvent?(event: AnyEvent): void;
  /** Called when the connection has ended. */
  onEnd(error: AgentError): void;
}

export interface FleetFeed {
  /** The current rows. */
  readonly rows: ReadonlyMap<string, FleetRow>;
  readonly way: FleetReading['way'];
  close(): Promise<void>;
}

/** @returns when the fleet has been read. Throws AgentError `BrokerUnreachable` as long as it has not */
export async function followFleet(options: FollowOptions): Promise<FleetFeed> {
  const base = `${options.prefix}/${options.fleet}`;
  const listed = options.hosts === undefined ? null : new Set(options.hosts);
  /** Messages that arrived during the reading. */
  const early = new Map<string, FleetRow>();
  const joined = new Set<string>();
  const left = new Set<string>();
  let live: Map<string, FleetRow> | null = null;
  let ended: AgentError | null = null;
  let isClosed = false;

  const welcome = (host: string) => {
    if (live === null || live.has(host)) return;
    live.set(host, unknownRow(host));
    options.onRow(host, live.get(host) ?? null);
    const filters = topicsOf(base, host);
    // Read what it published before it was in the index. If the connection ends, `onEnd` is called.
    const isKept = options.link.version === 4;
    whole.desk.take({ filters, expected: filters.length, isKept }).catch(() => undefined);
  };
  const forget = (host: string) => {
    if (live?.delete(host)) options.onRow(host, null);
  };
  const whole = await readWhole({
    ...options,
    live: [
      ...(listed === null ? [`${base}/index/+/+`] : []),
      ...[`${base}/hosts/+/presence`, `${base}/hosts/+/status`],
      ...(options.onEvent ? [`${base}/hosts/+/events`] : []),
    ],
    rows: early,
    onName(heard) {
      if (heard.joined !== undefined) live === null ? joined.add(heard.joined) : welcome(heard.joined);
      if (heard.left !== undefined) live === null ? left.add(heard.left) : forget(heard.left);
    },
    onMessage(topic, payload) {
      const [host = '', leaf] = topic.split('/').slice(-2);
      if (leaf === 'events') {
        const event = anyEvent.safeParse(parseJson(payload));
        // A host may report only about itself.
        if (event.success && event.data.host === host && (listed?.has(host) ?? true)) options.onEvent?.(event.data);
        return;
      }
      if (live === null) return foldMessage(early, topic, payload);
      const before = live.get(host);
      if (before === undefined) return;
      foldMessage(live, topic, payload);
      const row = live.get(host);
      if (row && JSON.stringify(row) !== JSON.stringify(before)) options.onRow(host, row);
    },
    onOver(error) {
      ended = error;
      if (live !== null && !isClosed) options.onEnd(error);
    },
  });
  await whole.desk.stay();
  if (ended !== null) throw ended;
  live = whole.rows;
  // Hosts that joined during the reading were not read yet.
  for (const host of joined)
    if (!left.has(host) && live.get(host)?.reason === 'NotDelivered') {
      live.delete(host);
      welcome(host);
    }
  return {
    rows: live,
    way: whole.way,
    async close() {
      isClosed = true;
      await whole.desk.end();
    },
  };
}
