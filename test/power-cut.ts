/**
 * A power cut, as a test can have one: what is written to the database is on the disk up to the last commit that was
 * followed by an fsync, and gone after it. By SQLite's documents (sqlite.org/pragma.html#pragma_synchronous) that is the
 * last commit under `synchronous = FULL` that wrote anything to the log on the side (WAL); the writer's own accounts are not
 * asked. Files beside the database are as they are: those that matter are synced by whoever writes them.
 */
import { copyFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const DATABASE = 'history.db';
const LOG = 'history.db-wal';

export interface PowerCut {
  /** To be told of each SQL statement, before it is carried out (`StoreOptions.trace`). */
  trace(sql: string): void;
  /** How many commits were synced so far. */
  synced(): number;
  /** Puts into `to` what the disk would have. */
  cut(to: string): void;
}

/** @param dir of the store */
export function createPowerCut(dir: string): PowerCut {
  const read = (name: string): Buffer | null => {
    const file = path.join(dir, name);
    return existsSync(file) ? readFileSync(file) : null;
  };
  let isFull = true;
  let count = 0;
  let seen: Buffer | null = null;
  let durable = { database: read(DATABASE), log: read(LOG) };
  /** Whether the last statement may have written to the log. */
  let isDue = true;
  /** What the statement before did is seen when the next one begins. */
  const look = () => {
    if (!isDue) return;
    isDue = false;
    const log = read(LOG);
    if (log === null || (seen !== null && log.equals(seen))) return;
    seen = log;
    if (!isFull) return;
    durable = { database: read(DATABASE), log };
    count++;
  };
  return {
    trace(sql) {
      look();
      const mode = /^PRAGMA synchronous = (\w+)/i.exec(sql);
      if (mode) isFull = mode[1] === 'FULL';
      isDue ||= !/^SELECT/i.test(sql);
    },
    synced() {
      look();
      return count;
    },
    cut(to) {
      look();
      for (const [name, bytes] of [
        [DATABASE, durable.database],
        [LOG, durable.log],
      ] as const)
        if (bytes !== null) writeFileSync(path.join(to, name), bytes);
      for (const name of readdirSync(dir))
        if (!name.startsWith(DATABASE) && !name.endsWith('.new'))
          copyFileSync(path.join(dir, name), path.join(to, name));
    },
  };
}
