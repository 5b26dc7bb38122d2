/**
 * Data about resources that providers must remember and cannot observe: a small file beside the database, so that a
 * lost database does not lose it. Complete and durable at every moment; readable by root only.
 */
import path from 'node:path';
import { replaceFile } from './disk/durable-file.ts';
import { readStateFile } from './disk/state-file.ts';
import { isUnwritable } from './disk/unwritable.ts';

export interface Records {
  /** The plain data that was set last; undefined if there is none. */
  get(key: string): unknown;
  /**
   * Durable when it returns; costs nothing if the value is unchanged.
   * @param value undefined deletes the key. Throws errors of the disk
   */
  set(key: string, value: unknown): void;
}

/** @param dir of the state; the file is `records.json` in it. A damaged file is replaced. Throws `StateUnwritable` if the disk does not give it */
export function openRecords(dir: string): Records {
  const file = path.join(dir, 'records.json');
  let all = read(file);
  return {
    get: (key) => all.get(key),
    set(key, value) {
      if (JSON.stringify(all.get(key)) === JSON.stringify(value)) return;
      const next = new Map(all);
      if (value === undefined) next.delete(key);
      else next.set(key, value);
      replaceFile(file, JSON.stringify({ schema: 1, records: Object.fromEntries(next) }));
      all = next;
    },
  };
}

/** For callers that only observe or validate: nothing is stored. */
export function recordsInMemory(): Records {
  const all = new Map<string, unknown>();
  return {
    get: (key) => all.get(key),
    set: (key, value) => void (value === undefined ? all.delete(key) : all.set(key, value)),
  };
}

function read(file: string): ReadonlyMap<string, unknown> {
  try {
    const { records } = JSON.parse(readStateFile(file) ?? '{}') as { records?: unknown };
    return new Map(Object.entries((records ?? {}) as Record<string, unknown>));
  } catch (thrown) {
    if (isUnwritable(thrown)) throw thrown;
    return new Map();
  }
}
