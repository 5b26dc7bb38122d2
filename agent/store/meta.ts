/** A table of single values that outlive a restart, as JSON. For this room alone; the others know `Facts` and `Commits`. */
import type Database from 'better-sqlite3';

/** Longer ones are read when they are asked for: they are few, and would only take up memory. */
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
  /** As last read, null where there is none: every run asks for most of them, several times, and nobody else writes. */
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
      // Read again next time: the transaction that this belongs to may come to nothing.
      known.delete(key);
      set.run(key, JSON.stringify(value));
    },
  };
}
