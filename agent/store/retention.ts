/** Keeps the history within its limits, a slice at a time: no slice holds up what else is to be done. */
import type Database from 'better-sqlite3';
import type { Writer } from './writer.ts';

export interface Limits {
  /** Runs that began before this (ISO 8601) go; null spares them. */
  before: string | null;
  /** When the database holds more than this, the oldest runs go. */
  maxBytes: number;
}

/** Of one slice: runs with all that they did, and pages that are given back to the disk (1 MB). */
const RUNS = 50;
const PAGES = 256;

/** @returns one slice of it; whether there is more to do */
export function createRetention(db: Database.Database, writer: Writer): (limits: Limits) => boolean {
  // The newest stays: it says how the host is.
  const oldest = `SELECT id, started_at FROM runs WHERE sync IS NOT NULL AND id < (SELECT max(id) FROM runs) ORDER BY id LIMIT ${RUNS}`;
  const anyOld = db.prepare<[string], { id: number }>(`SELECT id FROM (${oldest}) WHERE started_at < ? LIMIT 1`);
  const dropOld = db.prepare(`DELETE FROM runs WHERE id IN (SELECT id FROM (${oldest}) WHERE started_at < ?)`);
  const dropOldest = db.prepare(`DELETE FROM runs WHERE id IN (SELECT id FROM (${oldest}))`);
  const number = (pragma: string) => db.pragma(pragma, { simple: true }) as number;
  return ({ before, maxBytes }) => {
    // Lost, it is only done once more.
    const drop = (act: () => Database.RunResult): number => writer.write('eventually', act).changes;
    // It is asked after each run, and mostly there is none: then nothing is written.
    const isDue = before !== null && anyOld.get(before) !== undefined;
    const old = isDue ? drop(() => dropOld.run(before)) : 0;
    const page = number('page_size');
    const used = (number('page_count') - number('freelist_count')) * page;
    const surplus = old === 0 && used > maxBytes ? drop(() => dropOldest.run()) : 0;
    const free = number('freelist_count');
    // Some free pages are kept: the next runs need them.
    const spare = free > PAGES;
    if (spare) db.pragma(`incremental_vacuum(${PAGES})`);
    return old + surplus > 0 || (spare && number('freelist_count') < free && number('freelist_count') > PAGES);
  };
}
