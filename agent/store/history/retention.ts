/** Keeps the history within its limits, in slices, so that no slice delays other work. */
import type Database from 'better-sqlite3';
import type { Writer } from '../disk/writer.ts';

export interface Limits {
  /** Runs that started before this (ISO 8601) are deleted; null keeps them. */
  before: string | null;
  /** If the database is larger than this, the oldest runs are deleted. */
  maxBytes: number;
}

/** Limits of one slice: runs with their actions, and pages that are returned to the disk (1 MB). */
const RUNS = 50;
const PAGES = 256;

/** @returns a function that deletes one slice, and returns whether there is more to do */
export function createRetention(db: Database.Database, writer: Writer): (limits: Limits) => boolean {
  // The newest run stays, because it describes the host.
  const oldest = `SELECT id, started_at FROM runs WHERE sync IS NOT NULL AND id < (SELECT max(id) FROM runs) ORDER BY id LIMIT ${RUNS}`;
  const anyOld = db.prepare<[string], { id: number }>(`SELECT id FROM (${oldest}) WHERE started_at < ? LIMIT 1`);
  const dropOld = db.prepare(`DELETE FROM runs WHERE id IN (SELECT id FROM (${oldest}) WHERE started_at < ?)`);
  const dropOldest = db.prepare(`DELETE FROM runs WHERE id IN (SELECT id FROM (${oldest}))`);
  const number = (pragma: string) => db.pragma(pragma, { simple: true }) as number;
  return ({ before, maxBytes }) => {
    // If this write is lost, it is repeated.
    const drop = (act: () => Database.RunResult): number => writer.write('eventually', act).changes;
    // Called after each run; mostly there is nothing old, and then nothing is written.
    const isDue = before !== null && anyOld.get(before) !== undefined;
    const old = isDue ? drop(() => dropOld.run(before)) : 0;
    const page = number('page_size');
    const used = (number('page_count') - number('freelist_count')) * page;
    const surplus = old === 0 && used > maxBytes ? drop(() => dropOldest.run()) : 0;
    const free = number('freelist_count');
    // Some free pages are kept for the next runs.
    const spare = free > PAGES;
    if (spare) db.pragma(`incremental_vacuum(${PAGES})`);
    return old + surplus > 0 || (spare && number('freelist_count') < free && number('freelist_count') > PAGES);
  };
}
