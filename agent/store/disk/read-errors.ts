/**
 * SQLite says of a page that the disk does not give that the database is damaged: it takes EIO of a read for SQLITE_IOERR_CORRUPTFS,
 * and that for SQLITE_CORRUPT. A damaged database is set aside, and one that cannot be read now must stay: this tells the two apart.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import Database from 'better-sqlite3';

const CHUNK = 1 << 20;

export class DamagedDatabase extends Error {}

/** Whether the database itself is damaged: the next start sets it aside. */
export function isDamage(thrown: unknown): boolean {
  const code = (thrown as { code?: unknown }).code;
  return thrown instanceof DamagedDatabase || code === 'SQLITE_CORRUPT' || code === 'SQLITE_NOTADB';
}

/** @returns what was thrown, or `SQLITE_IOERR_READ` if it says that a database is damaged and one of its files cannot be read */
export function withReadErrors(thrown: unknown, files: readonly string[]): unknown {
  if (!isDamage(thrown)) return thrown;
  for (const file of files) {
    const why = readError(file);
    if (why !== null) return new Database.SqliteError(`cannot read ${file}: ${why.message}`, 'SQLITE_IOERR_READ');
  }
  return thrown;
}

/** Makes all that the database throws pass `withReadErrors`: its calls, its transactions and its statements. */
export function tellReadErrors(db: Database.Database, files: readonly string[]): void {
  const telling =
    <A extends unknown[], T>(act: (...args: A) => T) =>
    (...args: A): T => {
      try {
        return act(...args);
      } catch (thrown) {
        throw withReadErrors(thrown, files);
      }
    };
  const prepare = telling(db.prepare.bind(db));
  const transaction = db.transaction.bind(db);
  Object.assign(db, {
    exec: telling(db.exec.bind(db)),
    pragma: telling(db.pragma.bind(db)),
    transaction: (act: (...args: unknown[]) => unknown) => telling(transaction(act)),
    prepare(sql: string) {
      const statement = prepare(sql);
      const { run, get, all } = statement;
      return Object.assign(statement, {
        run: telling(run.bind(statement)),
        get: telling(get.bind(statement)),
        all: telling(all.bind(statement)),
      });
    },
  });
}

/** Why the file cannot be read to its end; null if it can, or if there is none. */
function readError(file: string): NodeJS.ErrnoException | null {
  try {
    const fd = openSync(file, 'r');
    try {
      const part = Buffer.alloc(CHUNK);
      while (readSync(fd, part) > 0);
    } finally {
      closeSync(fd);
    }
    return null;
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code === 'ENOENT' ? null : (thrown as NodeJS.ErrnoException);
  }
}
