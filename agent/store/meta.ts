import type Database from 'better-sqlite3';

/** Single facts that outlive a restart, as JSON. */
export interface Meta {
  get<T>(key: string): T | undefined;
  set(key: string, value: unknown): void;
}

export function createMeta(db: Database.Database): Meta {
  const get = db.prepare<[string], { value: string }>('SELECT value FROM meta WHERE key = ?');
  const set = db.prepare(
    'INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
  );
  return {
    get<T>(key: string) {
      const row = get.get(key);
      return row === undefined ? undefined : (JSON.parse(row.value) as T);
    },
    set: (key, value) => void set.run(key, JSON.stringify(value)),
  };
}
