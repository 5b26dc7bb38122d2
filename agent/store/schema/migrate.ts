/** Migrates a database to the form of this version, so that a failed upgrade can be rolled back. */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import type Database from 'better-sqlite3';
import { AgentError } from '../../errors.ts';
import { renameDurably, replaceFile } from '../disk/durable-file.ts';
import { MIGRATIONS } from './migrations.ts';

/** The newest form that the database may have, in a text file for package scripts, which cannot read a database. */
const NOTE = 'schema';

/**
 * Before the first change, a copy of the old form is kept beside the database as `history.db.FORM`, replacing an older copy,
 * and `schema` names the new form. Throws AgentError `StateTooNew` for a database of a newer version, which is left unchanged.
 */
export function migrate(db: Database.Database, file: string): void {
  const form = db.pragma('user_version', { simple: true }) as number;
  if (form > MIGRATIONS.length) throw tooNew(path.dirname(file), form);
  const note = path.join(path.dirname(file), NOTE);
  if (form === MIGRATIONS.length) {
    // Earlier versions wrote none.
    if (!existsSync(note)) replaceFile(note, `${form}\n`);
    return;
  }
  // A new database has no content to keep.
  if (form > 0) keepCopy(db, file, form);
  replaceFile(note, `${MIGRATIONS.length}\n`);
  for (const [at, sql] of MIGRATIONS.entries()) {
    if (at < form) continue;
    db.transaction(() => {
      db.exec(sql);
      db.pragma(`user_version = ${at + 1}`);
    })();
  }
}

function keepCopy(db: Database.Database, file: string, form: number): void {
  const base = `${path.basename(file)}.`;
  for (const name of readdirSync(path.dirname(file)))
    if (name.startsWith(base) && /^\d+$/.test(name.slice(base.length))) rmSync(path.join(path.dirname(file), name));
  const copy = `${file}.${form}`;
  // A copy that a crash interrupted has another name.
  rmSync(`${copy}.new`, { force: true });
  db.prepare('VACUUM INTO ?').run(`${copy}.new`);
  renameDurably(`${copy}.new`, copy);
}

const tooNew = (dir: string, form: number): AgentError =>
  new AgentError({
    code: 'StateTooNew',
    phase: 'config',
    message: `the state in ${dir} was written by a newer fairlead (form ${form} of the database; this version reads up to ${MIGRATIONS.length}); install that version again, docs/install.md says how to go back`,
  });
