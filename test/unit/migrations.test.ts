/**
 * The database migrates forward only, keeps a copy of its previous format, and is never read by a version that is too old for it.
 */
import { cpSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, test } from 'vitest';
import { silentLog } from '../../agent/log.ts';
import { openStore } from '../../agent/store/db.ts';
import { MIGRATIONS } from '../../agent/store/schema/migrations.ts';
import { inMemory } from '../scratch.ts';

const FORM = MIGRATIONS.length;
const { version } = JSON.parse(readFileSync(path.join(import.meta.dirname, '../../package.json'), 'utf8')) as {
  version: string;
};
const tempDir = () => inMemory('migrations');
const open = (dir: string) => openStore({ dir, now: () => new Date(), log: silentLog });

/** A database as written by an agent with fewer migrations. */
function olderState(form: number): string {
  const dir = tempDir();
  const db = new Database(path.join(dir, 'history.db'));
  for (const sql of MIGRATIONS.slice(0, form)) db.exec(sql);
  db.exec("INSERT INTO runs (trigger, started_at, sync) VALUES ('manual', '2026-01-01T00:00:00.000Z', 'synced')");
  db.pragma(`user_version = ${form}`);
  db.close();
  return dir;
}

test.each(MIGRATIONS.map((_, at) => at).slice(1))('a database of format %i is migrated with its runs', (form) => {
  const dir = olderState(form);
  const store = open(dir);
  expect(store.runs.lastId()).toBe(1);
  store.close();
  expect(readFileSync(path.join(dir, 'schema'), 'utf8')).toBe(`${FORM}\n`);
});

test('the former format is kept beside a migrated database', () => {
  const dir = olderState(FORM - 1);
  open(dir).close();
  const kept = new Database(path.join(dir, `history.db.${FORM - 1}`), { readonly: true });
  expect(kept.pragma('user_version', { simple: true })).toBe(FORM - 1);
  expect(kept.prepare('SELECT count(*) FROM runs').pluck().get()).toBe(1);
  kept.close();
});

test('the copy of an earlier upgrade is removed', () => {
  const dir = olderState(FORM - 1);
  writeFileSync(path.join(dir, 'history.db.1'), '');
  open(dir).close();
  expect(existsSync(path.join(dir, 'history.db.1'))).toBe(false);
});

test('a new database has no former format', () => {
  const dir = tempDir();
  open(dir).close();
  expect(existsSync(path.join(dir, 'history.db.0'))).toBe(false);
  expect(readFileSync(path.join(dir, 'schema'), 'utf8')).toBe(`${FORM}\n`);
});

test('a database of a newer version is refused by name and left as it is', () => {
  const dir = tempDir();
  open(dir).close();
  const db = new Database(path.join(dir, 'history.db'));
  db.pragma(`user_version = ${FORM + 1}`);
  db.close();
  expect(() => open(dir)).toThrow(expect.objectContaining({ code: 'StateTooNew' }));
  const left = new Database(path.join(dir, 'history.db'), { readonly: true });
  expect(left.pragma('user_version', { simple: true })).toBe(FORM + 1);
  left.close();
});

/** For each release, the state that its agent left after a few commits, a repair and a mistake. */
const STATES = path.join(import.meta.dirname, '../states');

describe.each(readdirSync(STATES))('the state that version %s left', (release) => {
  const opened = () => {
    const dir = tempDir();
    cpSync(path.join(STATES, release), dir, { recursive: true });
    return open(dir);
  };

  test('is opened with all managed resources', () => {
    const store = opened();
    const ids = store.inventory.list().map(({ id }) => id);
    store.close();
    expect(ids).toEqual(['file:/etc/motd', 'file:/etc/shop', 'file:/etc/shop/b.conf']);
  });

  test('has its history, changes and events', () => {
    const store = opened();
    const runs = store.runs.list({}).map(({ id, sync }) => `${id} ${sync}`);
    const changes = store.runs.get(2)?.actions.length;
    const lastEvent = store.outbox.lastSeq();
    store.close();
    expect(runs).toEqual(['5 failed', '4 synced', '3 synced', '2 synced', '1 synced']);
    expect(changes).toBe(3);
    expect(lastEvent).toBeGreaterThan(4);
  });

  test('knows the command that it carried out, and its answer', () => {
    const store = opened();
    const command = store.runs.get(4)?.run.command;
    const kept = store.commands.find('c-1');
    store.close();
    expect(command).toEqual({ id: 'c-1', reason: 'release' });
    expect(kept?.result?.state).toBe('done');
  });

  test('knows the commit that it accepted', () => {
    const store = opened();
    const { accepted } = store.commits.get();
    store.close();
    expect(accepted).not.toBeNull();
  });

  test('is small', () => {
    const sizes = readdirSync(path.join(STATES, release)).map(
      (file) => statSync(path.join(STATES, release, file)).size,
    );
    expect(sizes.reduce((a, b) => a + b)).toBeLessThan(300_000);
  });
});

test('the stored state of this version has the format that this version writes', () => {
  const dir = tempDir();
  cpSync(path.join(STATES, version), dir, { recursive: true });
  const db = new Database(path.join(dir, 'history.db'));
  const form = db.pragma('user_version', { simple: true });
  db.close();
  // Otherwise run `node test/keep-state.ts`, or, if this version is already released, raise the version first.
  expect(form).toBe(FORM);
});
