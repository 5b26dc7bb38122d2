/** Which images fairlead itself brought to this host, and when registries were last asked about them. */
import type Database from 'better-sqlite3';
import type { Writer } from './writer.ts';

export interface PulledImage {
  /** The name under which it was pulled. */
  name: string;
  /** Its id on the engine. */
  id: string;
}

export interface ImageRecords {
  /** What was pulled here, and was not on the host before: only this may ever be removed. */
  pulled(): PulledImage[];
  addPulled(image: PulledImage, at: Date): void;
  forget(id: string): void;
  /** When its registry last said what the name stands for; null where it never did. */
  askedAt(name: string, platform: string): Date | null;
  setAsked(name: string, platform: string, at: Date): void;
}

export const IMAGE_TABLES = `
  CREATE TABLE images (name TEXT NOT NULL, id TEXT NOT NULL, at TEXT NOT NULL, PRIMARY KEY (name, id)) WITHOUT ROWID;
  CREATE TABLE asked (name TEXT NOT NULL, platform TEXT NOT NULL, at TEXT NOT NULL, PRIMARY KEY (name, platform)) WITHOUT ROWID;`;

/** Names that nobody asks about any more give way to newer ones. */
const MAX_ASKED = 1_000;

export function createImageRecords(db: Database.Database, writer: Writer): ImageRecords {
  const pulled = db.prepare<[], PulledImage>('SELECT name, id FROM images ORDER BY at, name');
  const add = db.prepare('INSERT OR REPLACE INTO images (name, id, at) VALUES (?, ?, ?)');
  const forget = db.prepare('DELETE FROM images WHERE id = ?');
  const asked = db.prepare<[string, string], { at: string }>('SELECT at FROM asked WHERE name = ? AND platform = ?');
  const ask = db.prepare('INSERT OR REPLACE INTO asked (name, platform, at) VALUES (?, ?, ?)');
  const shrink = db.prepare(
    'DELETE FROM asked WHERE (name, platform) NOT IN (SELECT name, platform FROM asked ORDER BY at DESC LIMIT ?)',
  );
  return {
    pulled: () => pulled.all(),
    addPulled: ({ name, id }, at) => writer.write('now', () => void add.run(name, id, at.toISOString())),
    forget: (id) => writer.write('now', () => void forget.run(id)),
    askedAt(name, platform) {
      const row = asked.get(name, platform);
      return row ? new Date(row.at) : null;
    },
    setAsked: (name, platform, at) =>
      writer.write('now', () => {
        ask.run(name, platform, at.toISOString());
        shrink.run(MAX_ASKED);
      }),
  };
}

/** For who only looks, or says what a declaration means: nothing is remembered, so nothing is ever removed. */
export const noImageRecords = (): ImageRecords => ({
  pulled: () => [],
  addPulled: () => undefined,
  forget: () => undefined,
  askedAt: () => null,
  setAsked: () => undefined,
});
