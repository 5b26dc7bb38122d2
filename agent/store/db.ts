/**
 * The host's database: SQLite in WAL mode, checked when it is opened, and replaced by a new one (never silently) if it is
 * damaged.
 */
import { chmodSync, existsSync, mkdirSync, renameSync } from 'node:fs';
import path from 'node:path';
import Database from 'better-sqlite3';
import { MOST_AHEAD_MS } from '../core/reporting/command-time.ts';
import type { Log } from '../log.ts';
import { type Commands, createCommands } from './commands.ts';
import { type Commits, createCommits } from './commits.ts';
import { createMeta } from './disk/meta.ts';
import { DamagedDatabase, isDamage, tellReadErrors, withReadErrors } from './disk/read-errors.ts';
import { isUnwritable, unwritable } from './disk/unwritable.ts';
import { createWriter } from './disk/writer.ts';
import { createFacts, type Facts } from './facts.ts';
import { createOutbox, type Outbox, renewEpoch } from './history/outbox.ts';
import { createRetention, type Limits } from './history/retention.ts';
import { createRunReader, type RunReader } from './history/run-reader.ts';
import { createRuns, lastRunIn, type Runs } from './history/runs.ts';
import { createDeclared, type Declared } from './inventory/declared.ts';
import { createImageRecords, type ImageRecords } from './inventory/images.ts';
import { createInventory, type Inventory } from './inventory/inventory.ts';
import { createCopyWriter, readCopy, withCopy } from './inventory/inventory-copy.ts';
import { openRecords, type Records } from './records.ts';
import { takeOverLeft } from './schema/left-database.ts';
import { migrate } from './schema/migrate.ts';
import { openTrust, type Trust } from './trust.ts';

/**
 * Writes happen in order; `writer.ts` decides how soon they survive a power cut. Before the host is changed, the intent must be
 * written (`inventory.intend`), or `beforeActing` called if no intent announces the change.
 */
export interface Store {
  inventory: Inventory;
  runs: Runs;
  outbox: Outbox;
  facts: Facts;
  commits: Commits;
  commands: Commands;
  images: ImageRecords;
  declared: Declared;
  /** Stored beside the database, and independent of it. */
  records: Records;
  /**
   * To be called before the host is changed, unless an intent announced it: everything that must be durable by then is durable
   * when this returns. Throws AgentError `StateUnwritable`.
   */
  beforeActing(): void;
  /** Stored beside the database, and independent of it. */
  trust: Trust;
  /** Deletes one slice of surplus history. @returns whether there is more to do */
  tend(limits: Limits): boolean;
  /** Why nothing can be written now; null if it can. */
  trouble(): string | null;
  close(): void;
}

/** The write-ahead log (WAL) is truncated to this size after a checkpoint. */
const WAL_BYTES = 4 << 20;
/** Suffixes of the files of a database. */
const SUFFIXES = ['', '-wal', '-shm'];
const filesOf = (file: string) => SUFFIXES.map((suffix) => file + suffix);
/** SQLite's page cache; the kernel caches the rest. */
const CACHE_KB = 1_000;

export interface StoreOptions {
  /** Directory that only root can read; created if missing. */
  dir: string;
  /** Path of SQLite's addon, if it is not in node_modules. */
  nativeBinding?: string | undefined;
  /** Maximum number of events that wait for a broker that is down. */
  maxEvents?: number;
  now(): Date;
  log: Log;
  /** Receives each SQL statement before it is executed: for tests that simulate a power cut. */
  trace?(sql: string): void;
}

/** Opens the store, or creates a new one beside a damaged one. Throws if the directory cannot be written. */
export function openStore(options: StoreOptions): Store {
  mkdirSync(options.dir, { recursive: true, mode: 0o700 });
  const file = path.join(options.dir, 'history.db');
  const copy = path.join(options.dir, 'inventory.json');
  const isNew = !existsSync(file);
  let db: Database.Database;
  let lost = isNew;
  try {
    db = openChecked(file, options);
  } catch (opened) {
    // What replaces it must be readable as well.
    const thrown = withReadErrors(opened, [...filesOf(file), copy]);
    if (isNew || !isDamage(thrown)) throw thrown;
    const aside = `${file}.corrupt-${options.now().toISOString().replaceAll(':', '')}`;
    for (const suffix of SUFFIXES) if (existsSync(file + suffix)) renameSync(file + suffix, aside + suffix);
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
  const kept = readCopy(copy);
  // If the WAL is damaged, SQLite silently uses the part before the damage.
  const lastRun = lastRunIn(db);
  const behind = !lost && lastRun < kept.run;
  if (behind || (lost && kept.rows.length > 0)) inventory.restore(kept.rows);
  if (behind)
    options.log.error(
      { run: lastRun, lost: kept.run },
      'the history database lost its last writes; the inventory was restored from its copy',
    );
  // Only now, because taking over the other database raises the run counter, which would hide that this one is behind.
  const { nativeBinding, log } = options;
  const isTakenOver = takeOverLeft({ db, meta, writer, file: `${file}.left`, nativeBinding, log });
  if (behind && !isTakenOver) writer.write('now', () => renewEpoch(meta));
  const outbox = createOutbox({ db, meta, writer, facts, max: options.maxEvents ?? 10_000 });
  const runs = createRuns(db, writer, outbox);
  const written = createCopyWriter(copy, () => {
    // Flushed first: a copy with a later run than the database would look like a loss.
    writer.flush();
    return { run: runs.lastId(), rows: inventory.list() };
  });
  const commands = createCommands(db, meta, writer);
  if (behind || (lost && (!isNew || kept.rows.length > 0))) commands.lost(options.now().getTime() + MOST_AHEAD_MS);
  if (behind || (lost && kept.rows.length > 0)) written.save();
  return {
    ...withCopy({ inventory, runs }, written),
    facts,
    commits: createCommits(db, meta, writer),
    commands,
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
        // The waiting runs only say that nothing happened.
      }
      db.close();
    },
  };
}

/**
 * Reads the history of an agent that is down, without migrating or changing it. Throws if there is no database, or none that
 * this version can read.
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
  tellReadErrors(db, filesOf(file));
  try {
    // Only takes effect in a new database; an older one is rewritten below.
    db.pragma('auto_vacuum = INCREMENTAL');
    db.pragma('journal_mode = WAL');
    // SQLite's default is 16 MB, which the check of a long history fills at once and never releases.
    db.pragma(`cache_size = -${CACHE_KB}`);
    // Gives back the space of a WAL that a large write created.
    db.pragma(`journal_size_limit = ${WAL_BYTES}`);
    // FULL: a record that precedes an action must survive a power cut.
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

/**
 * Databases of earlier versions cannot shrink until they are rewritten once; if there is no room for that, it is tried again at
 * the next start.
 */
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
