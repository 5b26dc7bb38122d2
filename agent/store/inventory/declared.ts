/**
 * Which commit wrote each declaration: recorded when a commit is accepted, so that `show` can name the author of a resource.
 */
import type Database from 'better-sqlite3';
import type { CommitInfo, ResourceId } from '../../core/types.ts';
import type { Writer } from '../disk/writer.ts';

export interface Writing {
  commit: CommitInfo;
  /** The number of commits that came together, one of which wrote it; 1 if the commit is known. */
  oneOf: number;
}

export interface Declared {
  /**
   * Records the declarations under an accepted commit.
   * @param writing the author of new declarations
   * @param options.isBack the host went back to an earlier commit: the authors of declarations that were here before are known
   */
  note(resources: readonly { id: ResourceId; hash: string }[], writing: Writing, options: { isBack: boolean }): void;
  /** The author of this declaration; null if unknown. */
  writerOf(id: ResourceId, hash: string): Writing | null;
}

/** Number of declarations that are remembered per resource: a pin may return to one of them. */
const KEPT = 5;

export const DECLARED_TABLE = `CREATE TABLE declared (
  n INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, hash TEXT NOT NULL, writing TEXT NOT NULL, UNIQUE (id, hash)
);`;

export function createDeclared(db: Database.Database, writer: Writer): Declared {
  const current = db.prepare<[], { id: string; hash: string }>(
    'SELECT id, hash FROM declared WHERE n IN (SELECT max(n) FROM declared GROUP BY id)',
  );
  const insert = {
    new: db.prepare('INSERT OR REPLACE INTO declared (id, hash, writing) VALUES (?, ?, ?)'),
    unlessKnown: db.prepare('INSERT OR IGNORE INTO declared (id, hash, writing) VALUES (?, ?, ?)'),
  };
  const shrink = db.prepare(
    `DELETE FROM declared WHERE id = ? AND n NOT IN (SELECT n FROM declared WHERE id = ? ORDER BY n DESC LIMIT ${KEPT})`,
  );
  const forget = db.prepare('DELETE FROM declared WHERE id = ?');
  const find = db.prepare<[string, string], { writing: string }>(
    'SELECT writing FROM declared WHERE id = ? AND hash = ?',
  );
  return {
    note(resources, writing, { isBack }) {
      const known = new Map(current.all().map(({ id, hash }) => [id, hash]));
      const changed = resources.filter(({ id, hash }) => known.get(id) !== hash);
      const declared = new Set<string>(resources.map(({ id }) => id));
      const gone = isBack ? [] : [...known.keys()].filter((id) => !declared.has(id));
      if (changed.length + gone.length === 0) return;
      const text = JSON.stringify(writing);
      // If this write is lost, `show` lacks a name.
      writer.write('eventually', () => {
        for (const { id, hash } of changed) {
          (isBack ? insert.unlessKnown : insert.new).run(id, hash, text);
          shrink.run(id, id);
        }
        for (const id of gone) forget.run(id);
      });
    },
    writerOf(id, hash) {
      const row = find.get(id, hash);
      return row === undefined ? null : (JSON.parse(row.writing) as Writing);
    },
  };
}
