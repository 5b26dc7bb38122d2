/** Runs that found nothing to do: they cause no writes, and the history still contains them. */
import { copyFileSync, existsSync, rmSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { RunRecord } from '../../agent/core/types.ts';
import { silentLog } from '../../agent/log.ts';
import { openStore, readStore, type Store } from '../../agent/store/db.ts';
import { inMemory } from '../scratch.ts';

let dir: string;
let written: string[];
const open = (at = dir): Store =>
  openStore({
    dir: at,
    now: () => new Date(),
    log: silentLog,
    trace: (sql) => {
      if (/^\s*(insert|update|delete|replace|begin)/i.test(sql)) written.push(sql);
    },
  });
beforeEach(() => {
  dir = inMemory('quiet');
  written = [];
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const minute = (n: number) => new Date(Date.UTC(2026, 0, 1, 0, n)).toISOString();
const commit = { commit: 'a'.repeat(40), ref: 'main', author: 'A', subject: 's', committedAt: minute(0) };

/** A run at this minute. */
function run(store: Store, at: number, more: Partial<RunRecord> = {}): number {
  const trigger = more.trigger ?? 'schedule';
  const id = store.runs.begin(trigger, minute(at));
  const record = {
    durationMs: 5,
    sync: 'synced',
    reason: '',
    message: '',
    changed: 0,
    failed: 0,
    repaired: 0,
  } as const;
  store.runs.finish({ id, startedAt: minute(at), commit, ...record, ...more, trigger }, [], []);
  return id;
}
const listed = (store: Store) => store.runs.list({}).map(({ id, quietFrom }) => [id, quietFrom ?? id]);

test('an hour of them is one write, and the history contains each of them', () => {
  const store = open();
  for (let at = 0; at < 3; at++) run(store, at);
  written = [];
  for (let at = 3; at < 60; at++) {
    run(store, at);
    // As the daemon does after each run.
    store.tend({ before: minute(-60), maxBytes: 1 << 30 });
  }
  expect(written).toEqual([]);
  expect(store.runs.newest()?.id).toBe(60);
  expect(store.runs.lastId()).toBe(60);
  run(store, 70);
  expect(written.length).toBeGreaterThan(0);
  expect(listed(store)).toEqual([
    [61, 2],
    [1, 1],
  ]);
  for (let at = 71; at < 100; at++) run(store, at);
  // Reads include the ones that are not written yet.
  expect(listed(store)[0]).toEqual([90, 2]);
  expect(store.runs.get(75)?.run.id).toBe(90);
  store.close();
});

test('a run with a different result is written, together with the ones that waited', () => {
  const store = open();
  for (let at = 0; at < 10; at++) run(store, at);
  run(store, 10, { sync: 'failed', reason: 'RepositoryUnreachable' });
  for (let at = 11; at < 20; at++) run(store, at);
  run(store, 20, { trigger: 'manual' });
  run(store, 21);
  const expected = [
    [22, 22],
    [21, 21],
    [20, 13],
    [12, 12],
    [11, 11],
    [10, 2],
    [1, 1],
  ];
  expect(listed(store)).toEqual(expected);
  store.close();
  expect(readStore({ dir }, (runs) => runs.list({}).map(({ id, quietFrom }) => [id, quietFrom ?? id]))).toEqual(
    expected,
  );
});

test('a run in progress is written with its first write, and its end is never lost', () => {
  let store = open();
  for (let at = 0; at < 10; at++) run(store, at);
  const id = store.runs.begin('schedule', minute(10));
  store.facts.set({ unsettled: ['file:/x'] });
  const killed = inMemory('quiet');
  for (const suffix of ['', '-wal'])
    if (existsSync(path.join(dir, `history.db${suffix}`)))
      copyFileSync(path.join(dir, `history.db${suffix}`), path.join(killed, `history.db${suffix}`));
  store.close();
  store = open(killed);
  expect(store.runs.list({})[0]).toMatchObject({ id, sync: 'failed', reason: 'Interrupted' });
  expect(store.runs.list({})[1]).toMatchObject({ id: id - 1, quietFrom: 2 });
  expect(run(store, 12)).toBe(id + 1);
  store.close();
  rmSync(killed, { recursive: true });
});

test('a run that was read while in progress is completed by its end', () => {
  let store = open();
  for (let at = 0; at < 10; at++) run(store, at);
  const id = store.runs.begin('schedule', minute(10));
  // A request for the history, or an event that the broker accepted, forces the write.
  expect(store.runs.get(id)?.run.sync).toBe('progressing');
  const record = {
    durationMs: 5,
    sync: 'synced',
    reason: '',
    message: '',
    changed: 0,
    failed: 0,
    repaired: 0,
  } as const;
  store.runs.finish({ id, trigger: 'schedule', startedAt: minute(10), commit, ...record }, [], []);
  for (let at = 11; at < 20; at++) run(store, at);
  const expected = [
    [20, 2],
    [1, 1],
  ];
  expect(listed(store)).toEqual(expected);
  store.close();
  store = open();
  expect(listed(store)).toEqual(expected);
  store.close();
});

test('after a clock that was set back none of them waits', () => {
  const store = open();
  for (let at = 500; at < 510; at++) run(store, at);
  written = [];
  run(store, 10);
  expect(written.length).toBeGreaterThan(0);
  store.close();
});
