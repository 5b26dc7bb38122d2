/**
 * What providers must remember of the things they manage and cannot see on them: a small file beside the database, so that
 * a lost history costs none of it. Whole and durable at every moment; root's own.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { replaceFile } from './durable-file.ts';

export interface Records {
  /** Plain data as it was set last; undefined where nothing was. */
  get(key: string): unknown;
  /** Durable when it returns, and free where nothing changes. @param value undefined takes the key out. Throws what the disk does */
  set(key: string, value: unknown): void;
}

/** @param dir of the state; the file is `records.json` in it. One that cannot be read is begun again */
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

/** For who only looks, or says what a declaration means: nothing outlives it. */
export function recordsInMemory(): Records {
  const all = new Map<string, unknown>();
  return {
    get: (key) => all.get(key),
    set: (key, value) => void (value === undefined ? all.delete(key) : all.set(key, value)),
  };
}

function read(file: string): ReadonlyMap<string, unknown> {
  try {
    const { records } = JSON.parse(readFileSync(file, 'utf8')) as { records?: unknown };
    return new Map(Object.entries((records ?? {}) as Record<string, unknown>));
  } catch {
    return new Map();
  }
}
