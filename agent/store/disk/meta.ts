/** A table of single values that survive a restart, as JSON. Only for agent/store; other rooms use `Facts` and `Commits`. */
import type Database from 'better-sqlite3';

/** Longer values are not cached: they are few, and would only use memory. */
const SHORT = 1_000;

export interface Meta {
  get(key: string): unknown;
  /** To be called within `Writer.write`. */
  set(key: string, value: unknown): void;
}

export function createMeta(db: Database.Database): Meta {
  const get = db.prepare<[string], { value: string }>('SELECT value FROM meta WHERE key = ?');
  const set = db.prepare(
    'INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
  );
  /** Cached values, null if there is none: every run reads most of them several times, and nobody else writes. */
  const known = new Map<string, string | null>();
  const read = (key: string): string | null => {
    const value = get.get(key)?.value ?? null;
    if ((value?.length ?? 0) <= SHORT) known.set(key, value);
    return value;
  };
  return {
    get(key) {
      const value = known.get(key);
      const text = value === undefined ? read(key) : value;
      return text === null ? undefined : JSON.parse(text);
    },
    set(key, value) {
      // Read again next time, because the current transaction may fail.
      known.delete(key);
      set.run(key, JSON.stringify(value));
    },
  };
}
