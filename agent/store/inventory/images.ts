/** Which images fairlead pulled, and when registries were last asked about them. */
import type Database from 'better-sqlite3';
import type { Writer } from '../disk/writer.ts';

export interface PulledImage {
  /** The name under which it was pulled. */
  name: string;
  /** Its id in the Docker engine. */
  id: string;
}

export interface ImageRecords {
  /** Images that fairlead pulled and that were not on the host before: only these may be removed. */
  pulled(): PulledImage[];
  addPulled(image: PulledImage, at: Date): void;
  forget(id: string): void;
  /** When the registry was last asked about the name; null if never. */
  askedAt(name: string, platform: string): Date | null;
  setAsked(name: string, platform: string, at: Date): void;
}

export const IMAGE_TABLES = `
  CREATE TABLE images (name TEXT NOT NULL, id TEXT NOT NULL, at TEXT NOT NULL, PRIMARY KEY (name, id)) WITHOUT ROWID;
  CREATE TABLE asked (name TEXT NOT NULL, platform TEXT NOT NULL, at TEXT NOT NULL, PRIMARY KEY (name, platform)) WITHOUT ROWID;`;

/** Number of names that are remembered; the oldest are deleted. */
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

/** For callers that only observe or validate: nothing is recorded, so nothing is ever removed. */
export const noImageRecords = (): ImageRecords => ({
  pulled: () => [],
  addPulled: () => undefined,
  forget: () => undefined,
  askedAt: () => null,
  setAsked: () => undefined,
});
