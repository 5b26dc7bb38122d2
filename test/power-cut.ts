/**
 * A simulated power cut: the disk has everything that was written to the database up to the last commit that was followed by an
 * fsync, and nothing after it. By SQLite's documentation (sqlite.org/pragma.html#pragma_synchronous) that is the last commit
 * under `synchronous = FULL` that wrote to the write-ahead log (WAL); the writer's own bookkeeping is not used. Files beside the
 * database are kept as they are: those that matter are synced by their writers.
 */
import { closeSync, cpSync, existsSync, openSync, readdirSync, readFileSync, readSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const DATABASE = 'history.db';
const LOG = 'history.db-wal';
const INDEX = 'history.db-shm';

/** Header of the log, of one frame, and a page (sqlite.org/fileformat2.html#the_write_ahead_log). */
const HEADER_BYTES = 32;
const FRAME_BYTES = 24 + 4_096;
/** From this number of frames on the log may be checkpointed into the database (`wal_autocheckpoint`), which syncs it first. */
const CHECKPOINT_FRAMES = 1_000;

export interface PowerCut {
  /** To be called with each SQL statement, before it is executed (`StoreOptions.trace`). */
  trace(sql: string): void;
  /** Number of commits that were synced. */
  synced(): number;
  /** Copies into `to` what the disk would have. */
  cut(to: string): void;
}

/** The written length of the log; `salt` changes when it restarts at its first frame. */
interface Position {
  frames: number;
  salt: string;
}

/** @param dir of the store */
export function createPowerCut(dir: string): PowerCut {
  const read = (name: string): Buffer | null => {
    const file = path.join(dir, name);
    return existsSync(file) ? readFileSync(file) : null;
  };
  const position = (): Position | null => {
    const file = path.join(dir, INDEX);
    if (!existsSync(file)) return null;
    // sqlite.org/walformat.html: mxFrame and the salts of the header, in the byte order of this machine.
    const header = Buffer.alloc(40);
    const fd = openSync(file, 'r');
    readSync(fd, header, 0, header.length, 0);
    closeSync(fd);
    return { frames: header.readUInt32LE(16), salt: header.toString('hex', 32, 40) };
  };
  let isFull = true;
  let count = 0;
  let seen: Position | null = null;
  let database = read(DATABASE);
  let log = read(LOG);
  /** Frames of the current log that are durable; null if `log` has everything. */
  let durable: Position | null = null;
  /** Whether the last statement may have written to the log. */
  let isDue = true;
  /** The effect of a statement is observed when the next one begins. */
  const look = () => {
    if (!isDue) return;
    isDue = false;
    const now = position();
    if (now === null || (now.frames === seen?.frames && now.salt === seen.salt)) return;
    const before = seen;
    seen = now;
    if (isFull) count++;
    if (before?.salt === now.salt && now.frames < CHECKPOINT_FRAMES) {
      if (isFull) durable = now;
      return;
    }
    // Until something was synced, only the initial state is durable.
    if (before === null && !isFull) return;
    // A log restarts when all of it is durable in the database.
    database = read(DATABASE);
    log = isFull || before?.salt === now.salt ? read(LOG) : null;
    durable = null;
  };
  return {
    trace(sql) {
      look();
      const mode = /^PRAGMA synchronous = (\w+)/i.exec(sql);
      if (mode) isFull = mode[1] === 'FULL';
      isDue ||= !/^(SELECT|BEGIN)/i.test(sql);
    },
    synced() {
      look();
      return count;
    },
    cut(to) {
      look();
      const bytes =
        durable === null ? log : (read(LOG)?.subarray(0, HEADER_BYTES + durable.frames * FRAME_BYTES) ?? null);
      if (database !== null) writeFileSync(path.join(to, DATABASE), database);
      if (bytes !== null) writeFileSync(path.join(to, LOG), bytes);
      for (const name of readdirSync(dir))
        if (!name.startsWith(DATABASE) && !name.endsWith('.new'))
          cpSync(path.join(dir, name), path.join(to, name), { recursive: true });
    },
  };
}
