/** The host's memory: SQLite in WAL mode, checked at open, begun anew (never silently) when it is damaged. */
import { chmodSync, existsSync, mkdirSync, renameSync } from 'node:fs';
import path from 'node:path';
import Database from 'better-sqlite3';
import type { Log } from '../log.ts';
import { type Commits, createCommits } from './commits.ts';
import { createDeclared, type Declared } from './declared.ts';
import { createFacts, type Facts } from './facts.ts';
import { createImageRecords, type ImageRecords } from './images.ts';
import { createInventory, type Inventory } from './inventory.ts';
import { createCopyWriter, readCopy, withCopy } from './inventory-copy.ts';
import { createMeta } from './meta.ts';
import { migrate } from './migrate.ts';
import { createOutbox, type Outbox } from './outbox.ts';
import { openRecords, type Records } from './records.ts';
import { createRetention, type Limits } from './retention.ts';
import { createRunReader, type RunReader } from './run-reader.ts';
import { createRuns, type Runs } from './runs.ts';
import { openTrust, type Trust } from './trust.ts';
import { isUnwritable, unwritable } from './unwritable.ts';
import { createWriter } from './writer.ts';

/**
 * What is written is written in order; how soon it survives a power cut is decided here, in `writer.ts`. Whoever changes the
 * host writes its intent first (`inventory.intend`) or, where no intent announces what is done, calls `beforeActing`.
 */
export interface Store {
  inventory: Inventory;
  runs: Runs;
  outbox: Outbox;
  facts: Facts;
  commits: Commits;
  images: ImageRecords;
  declared: Declared;
  /** Lie beside the database, and outlive it. */
  records: Records;
  /**
   * To be called before the host is changed where no intent has announced it: what must be durable by then is so when this
   * returns. Throws AgentError `StateUnwritable`.
   */
  beforeActing(): void;
  /** Lies beside the database, and outlives it. */
  trust: Trust;
  /** One slice of keeping the history within its limits. @returns whether there is more to do */
  tend(limits: Limits): boolean;
  /** Why nothing can be written now. */
  trouble(): string | null;
  close(): void;
}

/** The log on the side (WAL) is cut to this after it was taken over. */
const WAL_BYTES = 4 << 20;
/** Pages of the database kept in memory; the kernel keeps the rest. */
const CACHE_KB = 1_000;

export interface StoreOptions {
  /** Root-only directory; made if missing. */
  dir: string;
  /** Path of SQLite's addon where it does not lie in node_modules. */
  nativeBinding?: string | undefined;
  /** Most events kept for a broker that is away. */
  maxEvents?: number;
  now(): Date;
  log: Log;
  /** Hears of each SQL statement before it is carried out: for tests that cut the power. */
  trace?(sql: string): void;
}

/** Opens the store, or begins a fresh one beside a damaged one. Throws where the directory cannot be written. */
export function openStore(options: StoreOptions): Store {
  mkdirSync(options.dir, { recursive: true, mode: 0o700 });
  const file = path.join(options.dir, 'history.db');
  const copy = path.join(options.dir, 'inventory.json');
  const isNew = !existsSync(file);
  let db: Database.Database;
  let lost = isNew;
  try {
    db = openChecked(file, options);
  } catch (thrown) {
    if (isNew || !isDamage(thrown)) throw thrown;
    const aside = `${file}.corrupt-${options.now().toISOString().replaceAll(':', '')}`;
    for (const suffix of ['', '-wal', '-shm']) if (existsSync(file + suffix)) renameSync(file + suffix, aside + suffix);
    options.log.error({ file: aside }, 'the history database is damaged; it was set aside and a fresh one is begun');
    db = openChecked(file, options);
    lost = true;
  }
  chmodSync(file, 0o600);
  const writer = createWriter(db);
  const meta = createMeta(db);
  const inventory = createInventory(db, writer);
  const retention = createRetention(db, writer);
  const facts = createFacts(meta, writer);
  const outbox = createOutbox({ db, meta, writer, facts, max: options.maxEvents ?? 10_000 });
  const runs = createRuns(db, writer, outbox);
  const kept = readCopy(copy);
  // Of a damaged log on the side SQLite takes what lies before the damage, and says nothing.
  const behind = !lost && runs.lastId() < kept.run;
  if (behind)
    options.log.error(
      { run: runs.lastId(), lost: kept.run },
      'the history database lost what was written last; what is managed is known from the copy of the inventory',
    );
  const written = createCopyWriter(copy, () => {
    // One that knows of a later run than the database would tell of a loss.
    writer.flush();
    return { run: runs.lastId(), rows: inventory.list() };
  });
  if (behind || (lost && kept.rows.length > 0)) {
    inventory.restore(kept.rows);
    written.save();
  }
  return {
    ...withCopy({ inventory, runs }, written),
    facts,
    commits: createCommits(db, meta, writer),
    images: createImageRecords(db, writer),
    declared: createDeclared(db, writer),
    records: openRecords(options.dir),
    trust: openTrust(options.dir),
    outbox,
    beforeActing: writer.beforeActing,
    tend: (limits) => retention(limits),
    trouble() {
      const trouble = written.trouble();
      return trouble === null ? null : unwritable(options.dir, trouble).message;
    },
    close() {
      written.stop();
      try {
        writer.settle();
      } catch {
        // What waited says that nothing happened.
      }
      db.close();
    },
  };
}

/**
 * The history of an agent that is down, as it lies there: nothing is migrated, mended or marked.
 * Throws where there is no database, or none that this version can read.
 */
export function readStore<T>(
  { dir, nativeBinding }: Pick<StoreOptions, 'dir' | 'nativeBinding'>,
  read: (runs: RunReader) => T,
): T {
  const file = path.join(dir, 'history.db');
  const db = new Database(file, { readonly: true, fileMustExist: true, ...(nativeBinding ? { nativeBinding } : {}) });
  try {
    return read(createRunReader(db));
  } finally {
    db.close();
  }
}

function openChecked(file: string, { nativeBinding, trace }: StoreOptions): Database.Database {
  const db = new Database(file, {
    ...(nativeBinding ? { nativeBinding } : {}),
    ...(trace ? { verbose: (sql) => trace(String(sql)) } : {}),
  });
  try {
    // Of a new database; one that is older is made anew below.
    db.pragma('auto_vacuum = INCREMENTAL');
    db.pragma('journal_mode = WAL');
    // The library's own is 16 MB, which the check of a long history fills at once and never gives back.
    db.pragma(`cache_size = -${CACHE_KB}`);
    // What a large write made of the log on the side is given back.
    db.pragma(`journal_size_limit = ${WAL_BYTES}`);
    // FULL: what was recorded before acting must survive a power cut.
    db.pragma('synchronous = FULL');
    db.pragma('foreign_keys = ON');
    const check = db.pragma('quick_check(1)', { simple: true });
    if (check !== 'ok') throw new DamagedDatabase(String(check));
    migrate(db, file);
    makeShrinkable(db);
    return db;
  } catch (thrown) {
    db.close();
    throw thrown;
  }
}

/** Databases of before can give nothing back to the disk until they are rewritten once; where there is no room, next time. */
function makeShrinkable(db: Database.Database): void {
  if (db.pragma('auto_vacuum', { simple: true }) !== 0) return;
  try {
    db.pragma('auto_vacuum = INCREMENTAL');
    db.exec('VACUUM');
    db.pragma('wal_checkpoint(TRUNCATE)');
  } catch (thrown) {
    if (!isUnwritable(thrown)) throw thrown;
  }
}

class DamagedDatabase extends Error {}

/** The database itself is broken: at the next start it is set aside. */
export function isDamage(thrown: unknown): boolean {
  const code = (thrown as { code?: unknown }).code;
  return thrown instanceof DamagedDatabase || code === 'SQLITE_CORRUPT' || code === 'SQLITE_NOTADB';
}
