import type Database from 'better-sqlite3';

/**
 * Writes without an fsync: the end of this process costs nothing, a power cut may cost what was written since the last
 * write that was durable. The next durable write makes this one durable, too. Not within a transaction.
 */
export function lightly<T>(db: Database.Database, write: () => T): T {
  db.pragma('synchronous = NORMAL');
  try {
    return write();
  } finally {
    db.pragma('synchronous = FULL');
  }
}
