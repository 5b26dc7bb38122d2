/**
 * An upgrade that is rolled back: the shell of the packages restores the previous database, and events of the trial are still
 * sent.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, expect, test } from 'vitest';
import type { AgentEvent } from '../../agent/core/types.ts';
import { silentLog } from '../../agent/log.ts';
import { openStore, type Store } from '../../agent/store/db.ts';
import type { EventDraft } from '../../agent/store/history/outbox.ts';
import { MIGRATIONS } from '../../agent/store/schema/migrations.ts';
import { functionsFor } from '../../packaging/scripts/script.ts';

const FORM = MIGRATIONS.length;
const dirs: string[] = [];
afterEach(() => {
  for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true });
});

const openIn = (dir: string): Store => openStore({ dir, now: () => new Date(0), log: silentLog });
const event = (n: number): EventDraft => ({ at: 't', type: 'change', run: null, data: { n } });
const numbers = (events: readonly AgentEvent[]) => events.map(({ data }) => (data as { n: number }).n);

interface Trial {
  dir: string;
  at(name: string): string;
  /** Ids of all events that the version on trial recorded. */
  ids: string[];
  /** Restores the former version, as a package does. */
  putBack(): void;
  /** As `putBack`, but it is killed before its n-th change. @returns false if it makes fewer */
  putBackKilled(n: number): boolean;
}

/** A host whose former agent recorded event 1, and whose agent on trial recorded 2 to 4 and sent as many as `sent`. */
function trial({ sent = 0, isKilled = false }: { sent?: number; isKilled?: boolean } = {}): Trial {
  const dir = mkdtempSync(path.join(os.tmpdir(), 'fairlead-left-'));
  dirs.push(dir);
  const at = (name: string) => path.join(dir, name);
  const former = openIn(dir);
  former.outbox.push([event(1)]);
  former.runs.begin('schedule', 't');
  former.runs.breakOff('Interrupted', 'x');
  former.close();
  copyFileSync(at('history.db'), at(`history.db.${FORM}`));
  writeFileSync(at('schema'), `${FORM + 1}\n`);
  const tried = openIn(dir);
  tried.outbox.push([event(2), event(3), event(4)]);
  const ids = tried.outbox.peek(10).map(({ id }) => id);
  for (let seq = 1; seq <= sent; seq++) tried.outbox.ack(seq);
  if (isKilled) for (const suffix of ['', '-wal']) copyFileSync(at(`history.db${suffix}`), at(`killed${suffix}`));
  tried.close();
  if (isKilled) for (const suffix of ['', '-wal']) copyFileSync(at(`killed${suffix}`), at(`history.db${suffix}`));
  const script = functionsFor({ version: '1.0.0', schema: FORM }).replaceAll('/var/lib/fairlead', dir);
  return {
    ...{ dir, at, ids },
    putBack: () => void expect(spawnSync('sh', ['-ec', `${script}\nput_database_back ${FORM}`]).status).toBe(0),
    putBackKilled(n) {
      const change = (name: string) =>
        `${name}() { left=$((left - 1)); [ $left -gt 0 ] || kill -9 $$; command ${name} "$@"; }`;
      const killing = ['ln', 'cp', 'rm', 'mv', 'sync'].map(change).join('\n');
      const done = spawnSync('sh', ['-ec', `left=${n}\n${killing}\n${script}\nput_database_back ${FORM}`]);
      if (done.signal === null) expect(done.status).toBe(0);
      return done.signal === 'SIGKILL';
    },
  };
}

test.each([false, true])(
  'events of a version that was rolled back are sent under their ids (killed: %s)',
  (isKilled) => {
    const host = trial({ isKilled });
    host.putBack();
    const store = openIn(host.dir);
    expect(numbers(store.outbox.peek(10))).toEqual([1, 2, 3, 4]);
    expect(store.outbox.peek(10).map(({ id }) => id)).toEqual(host.ids);
    store.close();
    expect(readdirSync(host.dir).filter((name) => name.startsWith('history.db'))).toEqual(['history.db']);
  },
);

test('an event that was reported in the trial is not reported as another one afterwards', () => {
  const host = trial({ sent: 4 });
  host.putBack();
  const store = openIn(host.dir);
  store.outbox.ack(1);
  store.outbox.push([event(5)]);
  expect(store.outbox.peek(10).map(({ seq }) => seq)).toEqual([5]);
  store.close();
});

test('a crash while the events are taken over duplicates none', () => {
  const host = trial();
  host.putBack();
  copyFileSync(host.at('history.db.left'), host.at('kept'));
  const first = openIn(host.dir);
  for (let seq = 1; seq <= 3; seq++) first.outbox.ack(seq);
  first.close();
  copyFileSync(host.at('kept'), host.at('history.db.left'));
  const second = openIn(host.dir);
  expect(numbers(second.outbox.peek(10))).toEqual([4]);
  second.close();
});

test('the number of a run of the trial is not used again', () => {
  const host = trial();
  const tried = openIn(host.dir);
  const id = tried.runs.begin('schedule', 't');
  tried.outbox.push([event(5)]);
  tried.runs.breakOff('Interrupted', 'x');
  tried.close();
  host.putBack();
  const store = openIn(host.dir);
  expect(store.runs.lastId()).toBeGreaterThanOrEqual(id);
  store.close();
});

test.each<[string, (host: Trial) => void]>([
  ['is damaged', ({ at }) => truncateSync(at('history.db.left'), 5_000)],
  ['has no table of events', ({ at }) => new Database(at('history.db.left')).exec('DROP TABLE outbox').close()],
])('if the replaced database %s, later ids differ from its ids', (_, harm) => {
  const host = trial({ sent: 4 });
  host.putBack();
  harm(host);
  const store = openIn(host.dir);
  store.outbox.push([event(5)]);
  expect(host.ids).not.toContain(store.outbox.peek(10).at(-1)?.id);
  expect(existsSync(host.at('history.db.left'))).toBe(false);
  store.close();
});

test('restoring the database twice loses nothing', () => {
  const host = trial();
  copyFileSync(host.at(`history.db.${FORM}`), host.at('former'));
  host.putBack();
  // A power cut before the last steps were on the disk.
  copyFileSync(host.at('former'), host.at(`history.db.${FORM}`));
  writeFileSync(host.at('schema'), `${FORM + 1}\n`);
  host.putBack();
  const store = openIn(host.dir);
  expect(numbers(store.outbox.peek(10))).toEqual([1, 2, 3, 4]);
  store.close();
});

test('a restore that is killed at any moment is completed by the next one', () => {
  let moments = 0;
  for (let isKilled = true; isKilled; moments++) {
    const host = trial({ isKilled: true });
    isKilled = host.putBackKilled(moments + 1);
    host.putBack();
    const store = openIn(host.dir);
    expect({ moments, events: numbers(store.outbox.peek(10)) }).toEqual({ moments, events: [1, 2, 3, 4] });
    store.close();
  }
  expect(moments).toBeGreaterThan(8);
});
