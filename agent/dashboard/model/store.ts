/**
 * The fleet in the page. Messages from the broker wait in a queue, where a newer message on a topic replaces the older one,
 * and are taken in portions, so that a flood costs no more than one message for each topic. Each change of a host makes a
 * new row; views compare the objects.
 */
import { type Row, unknownRow, withPresence, withStatus } from './row.ts';

export interface FleetStoreOptions {
  now(): number;
  /** Called at the first message that waits, and after a portion that left some. */
  onWaiting(): void;
}

export interface FleetStore {
  readonly rows: ReadonlyMap<string, Row>;
  /** Grows with each change of any row. */
  readonly version: number;
  /** Takes the newest word of a host. @param isLive it was said just now, rather than kept by the broker */
  offer(host: string, leaf: 'presence' | 'status', payload: string, isLive: boolean): void;
  /** Works on what waits until `isOver` says so. @returns whether any row changed */
  work(isOver: () => boolean): boolean;
  waiting(): number;
  /** Documents of a host that the broker did not deliver. */
  missing(host: string, what: 'presence' | 'status'): void;
  /** Takes out hosts that are in no index any more. */
  keep(names: ReadonlySet<string>): void;
  clear(): void;
}

interface Word {
  host: string;
  leaf: 'presence' | 'status';
  payload: string;
  isLive: boolean;
}

export function createFleetStore({ now, onWaiting }: FleetStoreOptions): FleetStore {
  const rows = new Map<string, Row>();
  let queue = new Map<string, Word>();
  let version = 0;

  function set(row: Row, before: Row | undefined): boolean {
    if (row === before) return false;
    rows.set(row.host, row);
    version += 1;
    return true;
  }

  return {
    rows,
    get version() {
      return version;
    },
    offer(host, leaf, payload, isLive) {
      queue.set(`${host}/${leaf}`, { host, leaf, payload, isLive });
      if (queue.size === 1) onWaiting();
    },
    work(isOver) {
      const before = version;
      for (const [key, { host, leaf, payload, isLive }] of queue) {
        queue.delete(key);
        // An empty payload is how a retained message is taken away: `fairlead fleet forget`.
        if (payload === '') {
          if (rows.delete(host)) version += 1;
          continue;
        }
        const known = rows.get(host);
        const row = known ?? unknownRow(host);
        set(leaf === 'presence' ? withPresence(row, payload, now(), isLive) : withStatus(row, payload), known);
        if (isOver()) break;
      }
      if (queue.size > 0) onWaiting();
      return version !== before;
    },
    waiting: () => queue.size,
    missing(host, what) {
      const known = rows.get(host);
      set({ ...(known ?? unknownRow(host)), missing: what }, known);
    },
    keep(names) {
      for (const host of rows.keys()) if (!names.has(host) && rows.delete(host)) version += 1;
    },
    clear() {
      rows.clear();
      queue = new Map();
      version += 1;
    },
  };
}
