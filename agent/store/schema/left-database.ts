/**
 * The newer database `history.db.left` that an upgrade left when it was rolled back (packaging/scripts/lifecycle.sh,
 * `put_database_back`). Its undelivered events are still sent, and its numbers are not used again: otherwise an event's id and
 * seq would name two events, and a receiver that knows the first would ignore the second.
 */
import { existsSync, rmSync } from 'node:fs';
import Database from 'better-sqlite3';
import type { Log } from '../../log.ts';
import type { Meta } from '../disk/meta.ts';
import { isUnwritable } from '../disk/unwritable.ts';
import type { Writer } from '../disk/writer.ts';
import { EPOCH, renewEpoch } from '../history/outbox.ts';

const COUNTERS = ['outbox', 'runs'] as const;

interface LeftEvent {
  seq: number;
  at: string;
  type: string;
  run: number | null;
  data: string;
}

interface Left {
  epoch: string;
  /** Events that were not acknowledged, oldest first. */
  events: readonly LeftEvent[];
  /** The last number that each table used. */
  last: Readonly<Record<(typeof COUNTERS)[number], number>>;
}

export interface LeftOptions {
  db: Database.Database;
  meta: Meta;
  writer: Writer;
  /** Path of the newer database; nothing is done if it does not exist. */
  file: string;
  nativeBinding?: string | undefined;
  log: Log;
}

/**
 * Takes over the content of the newer database, and deletes it; repeated after a crash, it takes nothing twice. If it cannot be
 * read, its events are lost, but later ids are made different. If the disk refuses, the next start tries again.
 * @returns whether numbers continue after its last one, now or after the next start: a disk that refuses accepts no events
 * meanwhile
 */
export function takeOverLeft({ db, meta, writer, file, nativeBinding, log }: LeftOptions): boolean {
  if (!existsSync(file)) return false;
  let isReadable = false;
  try {
    const left = readLeft(file, nativeBinding);
    isReadable = left !== null && left.epoch === meta.get(EPOCH);
    if (left !== null && isReadable) {
      writer.write('now', () => takeOver(db, left));
      log.info({ events: left.events.length }, 'an upgrade was rolled back; events of the newer version are sent');
    } else {
      writer.write('now', () => renewEpoch(meta));
      log.error({ file }, 'an upgrade was rolled back; events of the newer version cannot be read, and are lost');
    }
  } catch (thrown) {
    if (!isUnwritable(thrown)) throw thrown;
    log.warn({ file }, 'the state cannot be written; events of the newer version wait for the next start');
    return true;
  }
  for (const suffix of ['-wal', '-shm', '']) rmSync(file + suffix, { force: true });
  return isReadable;
}

/** @returns null if it cannot be read: it is damaged, or its form stores events elsewhere */
function readLeft(file: string, nativeBinding: string | undefined): Left | null {
  let db: Database.Database | undefined;
  try {
    // Not opened read-only, because its WAL belongs to its content.
    db = new Database(file, { fileMustExist: true, ...(nativeBinding ? { nativeBinding } : {}) });
    const last = db.prepare<[string], { seq: number }>('SELECT seq FROM sqlite_sequence WHERE name = ?');
    const epoch = db.prepare<[string], { value: string }>('SELECT value FROM meta WHERE key = ?').get(EPOCH);
    return {
      epoch: JSON.parse(epoch?.value ?? '""') as string,
      events: db.prepare<[], LeftEvent>('SELECT seq, at, type, run, data FROM outbox ORDER BY seq').all(),
      last: { outbox: last.get('outbox')?.seq ?? 0, runs: last.get('runs')?.seq ?? 0 },
    };
  } catch (thrown) {
    if (isUnwritable(thrown)) throw thrown;
    return null;
  } finally {
    db?.close();
  }
}

function takeOver(db: Database.Database, left: Left): void {
  const given = db.prepare<[string], { seq: number }>('SELECT seq FROM sqlite_sequence WHERE name = ?');
  const insert = db.prepare('INSERT INTO outbox (seq, at, type, run, data) VALUES (@seq, @at, @type, @run, @data)');
  const before = given.get('outbox')?.seq ?? 0;
  // Earlier events are from before the upgrade: they are here already, or were acknowledged since.
  for (const event of left.events) if (event.seq > before) insert.run(event);
  for (const table of COUNTERS) {
    const ours = given.get(table)?.seq;
    if (ours === undefined)
      db.prepare('INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)').run(table, left.last[table]);
    else if (ours < left.last[table])
      db.prepare('UPDATE sqlite_sequence SET seq = ? WHERE name = ?').run(left.last[table], table);
  }
}
