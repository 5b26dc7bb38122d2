/** The forms of the database: each entry migrates from one form to the next. An entry that was released never changes. */
import { COMMANDS_TABLE } from '../commands.ts';
import { DECLARED_TABLE } from '../inventory/declared.ts';
import { IMAGE_TABLES } from '../inventory/images.ts';

/** The number of a form is the number of entries that lead to it; it is stored in SQLite's `user_version`. */
export const MIGRATIONS: readonly string[] = [
  `CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
   CREATE TABLE inventory (
     id TEXT PRIMARY KEY, intent TEXT NOT NULL, hash TEXT, owned INTEGER NOT NULL, origin TEXT NOT NULL, info TEXT NOT NULL
   ) WITHOUT ROWID;
   CREATE TABLE notifies (target TEXT NOT NULL, source TEXT NOT NULL, PRIMARY KEY (target, source)) WITHOUT ROWID;
   CREATE TABLE runs (
     id INTEGER PRIMARY KEY AUTOINCREMENT, trigger TEXT NOT NULL, started_at TEXT NOT NULL, duration_ms INTEGER NOT NULL DEFAULT 0,
     sync TEXT, reason TEXT NOT NULL DEFAULT '', message TEXT NOT NULL DEFAULT '', commit_id TEXT, commit_info TEXT,
     changed INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0, repaired INTEGER NOT NULL DEFAULT 0
   );
   CREATE TABLE actions (
     run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE, resource TEXT NOT NULL, record TEXT NOT NULL
   );
   CREATE INDEX actions_by_run ON actions (run);
   CREATE INDEX actions_by_resource ON actions (resource, run);
   CREATE TABLE outbox (seq INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, type TEXT NOT NULL, run INTEGER, data TEXT NOT NULL);`,
  `ALTER TABLE notifies ADD COLUMN verb TEXT NOT NULL DEFAULT 'restart';`,
  `CREATE TABLE bad (content TEXT PRIMARY KEY, commit_id TEXT NOT NULL, at TEXT NOT NULL, culprit TEXT NOT NULL);`,
  IMAGE_TABLES,
  `ALTER TABLE runs ADD COLUMN quiet_from INTEGER;
   CREATE INDEX runs_quiet ON runs (quiet_from) WHERE quiet_from IS NOT NULL;
   CREATE INDEX runs_open ON runs (id) WHERE sync = 'progressing';`,
  DECLARED_TABLE,
  COMMANDS_TABLE,
];
