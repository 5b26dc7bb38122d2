import {
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { setImmediate } from 'node:timers/promises';
import Database from 'better-sqlite3';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import type { ActionRecord, ResourceId, RunRecord } from '../../agent/core/types.ts';
import { silentLog } from '../../agent/log.ts';
import { openStore, type Store } from '../../agent/store/db.ts';
import { createDiskFullStore } from '../../agent/store/disk-full-store.ts';
import type { EventDraft } from '../../agent/store/history/outbox.ts';
import { inMemory } from '../scratch.ts';

const dirs: string[] = [];
const newDir = () => {
  const dir = inMemory('store');
  dirs.push(dir);
  return dir;
};
afterEach(() => {
  for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true });
});

const open = (dir: string, maxEvents?: number): Store =>
  openStore({ dir, now: () => new Date(0), log: silentLog, ...(maxEvents ? { maxEvents } : {}) });
const event = (n: number): EventDraft => ({ at: 't', type: 'change', run: null, data: { n } });
const origin = { file: 'x.yaml', line: 1, layer: 'hosts/a' };
const row = (id: 'file:/a' | 'file:/b' | 'file:/c', hash = 'h1') => ({ id, hash, owned: true, origin, info: {} });
const run = (id: number, more: Partial<RunRecord> = {}): RunRecord => ({
  id,
  trigger: 'schedule',
  startedAt: `2026-01-0${id}T00:00:00.000Z`,
  durationMs: 1,
  sync: 'synced',
  reason: '',
  message: '',
  commit: null,
  changed: 0,
  failed: 0,
  repaired: 0,
  ...more,
});
const action: ActionRecord = { id: 'file:/a', op: 'update', why: [], result: 'done', drift: true, durationMs: 1 };

test('files of the store are readable only for root', () => {
  const dir = newDir();
  open(dir).close();
  expect(statSync(path.join(dir, 'history.db')).mode & 0o777).toBe(0o600);
});

test('an intent creates a row without a confirmed hash; confirming, notifies and forgetting survive a restart', () => {
  const dir = newDir();
  const first = open(dir);
  first.inventory.intend([row('file:/a'), row('file:/b')], [{ target: 'file:/b', source: 'file:/a' }]);
  first.inventory.confirm('file:/a', 'h1');
  first.close();
  const again = open(dir);
  expect(again.inventory.list().map((r) => [r.id, r.hash, r.intent])).toEqual([
    ['file:/a', 'h1', 'h1'],
    ['file:/b', null, 'h1'],
  ]);
  expect(again.inventory.pendingNotifies()).toEqual([{ target: 'file:/b', source: 'file:/a', verb: 'restart' }]);
  again.inventory.forget(['file:/b']);
  expect(again.inventory.pendingNotifies()).toEqual([]);
  again.close();
});

test('the inventory in memory always equals what a restart would read', () => {
  const id = fc.constantFrom<ResourceId>('file:/a', 'file:/b', 'unit:c.service');
  const hash = fc.constantFrom('h1', 'h2');
  const info = fc.record({
    claims: fc.constant(['path:/a']),
    was: fc.constantFrom([], ['path:/b']),
    memo: fc.constant(undefined),
  });
  const intent = fc.record({ id, hash, owned: fc.boolean(), origin: fc.constant(row('file:/a').origin), info });
  const step = fc.oneof(
    fc.record({ op: fc.constant('intend' as const), rows: fc.array(intent, { maxLength: 3 }) }),
    fc.record({ op: fc.constant('settle' as const), id, hash, reobservable: fc.boolean() }),
    fc.record({ op: fc.constant('confirm' as const), id, hash }),
    fc.record({ op: fc.constant('forget' as const), id }),
    fc.record({ op: fc.constant('look' as const) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
      const dir = newDir();
      const { inventory, close } = open(dir);
      for (const s of steps) {
        if (s.op === 'intend') inventory.intend(s.rows, []);
        else if (s.op === 'settle')
          inventory.settle([{ id: s.id, hash: s.hash, notified: true, reobservable: s.reobservable }]);
        else if (s.op === 'confirm') inventory.confirm(s.id, s.hash);
        else if (s.op === 'forget') inventory.forget([s.id]);
        else inventory.index();
      }
      const here = inventory.list();
      close();
      const again = open(dir);
      expect(here).toStrictEqual(again.inventory.list());
      again.close();
    }),
    { numRuns: 60 },
  );
});

test('a fact is the last written value, not one of a transaction that failed', () => {
  const store = open(newDir());
  store.commits.set({ accepted: 'one', trial: 'two' });
  expect(store.commits.get()).toMatchObject({ accepted: 'one', trial: 'two', pin: null });
  // The second value of the transaction cannot be stored.
  expect(() => store.commits.set({ accepted: 'other', trial: 1n as unknown as string })).toThrow();
  expect(store.commits.get()).toMatchObject({ accepted: 'one', trial: 'two' });
  store.facts.set({ host: 'x'.repeat(5_000) });
  store.facts.set({ host: 'y' });
  expect(store.facts.get('host')).toBe('y');
  store.close();
});

test('a resource that was owned once stays owned when only its state is declared later', () => {
  const store = open(newDir());
  store.inventory.intend([row('file:/a')], []);
  store.inventory.intend([{ ...row('file:/a'), owned: false }], []);
  expect(store.inventory.owned('file:/a')).toBe(true);
  store.close();
});

test('a damaged database is set aside under a new name; ownership is restored from the copy', async () => {
  const dir = newDir();
  const first = open(dir);
  first.inventory.intend([row('file:/a')], []);
  await first.inventory.copied();
  first.close();
  writeFileSync(path.join(dir, 'history.db'), 'this is no database, and long enough to be read as one'.repeat(100));
  const again = open(dir);
  expect(again.inventory.list().map((r) => r.id)).toEqual(['file:/a']);
  again.close();
  expect(readdirSync(dir).some((name) => name.startsWith('history.db.corrupt-'))).toBe(true);
});

test('a copy that is written concurrently is replaced by one that started later, and none is incomplete', async () => {
  const dir = newDir();
  const copied = () =>
    (
      JSON.parse(readFileSync(path.join(dir, 'inventory.json'), 'utf8')) as {
        rows: { id: string; hash: string | null }[];
      }
    ).rows;
  const store = open(dir);
  const id = store.runs.begin('start', 't');
  store.inventory.intend([row('file:/a')], []);
  const first = store.inventory.copied();
  // The copy is being written.
  await setImmediate();
  store.inventory.settle([{ id: 'file:/a', hash: 'h1', notified: true, reobservable: true }]);
  store.runs.finish(run(id), [action], []);
  await first;
  expect(copied().map((r) => [r.id, r.hash])).toEqual([['file:/a', 'h1']]);
  store.inventory.intend([row('file:/b')], []);
  store.inventory.intend([row('file:/c')], []);
  await store.inventory.copied();
  expect(copied().map((r) => r.id)).toEqual(['file:/a', 'file:/b', 'file:/c']);
  store.close();
});

test('a copy that fails on a full disk stops nothing, is logged, and is written when there is space again', async () => {
  const dir = newDir();
  const file = path.join(dir, 'inventory.json');
  const store = createDiskFullStore(open(dir), dir);
  // full(4): writes to it fail as on a full disk.
  for (const suffix of ['.new', '.tmp']) symlinkSync('/dev/full', file + suffix);
  const id = store.runs.begin('start', 't');
  store.inventory.intend([row('file:/a')], []);
  await store.inventory.copied();
  expect(store.trouble()).toMatch(/^cannot write to .*no space left on device/);
  store.runs.finish(run(id), [action], [event(1)]);
  expect(store.trouble()).toMatch(/no space left/);
  expect(existsSync(file)).toBe(false);
  // Logged once, although the next copy failed as well.
  expect(store.runs.get(id)?.actions).toHaveLength(1);
  expect(store.outbox.count()).toBe(1);
  rmSync(`${file}.tmp`);
  store.runs.finish(run(store.runs.begin('schedule', 't')), [], []);
  expect(store.trouble()).toBeNull();
  expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ run: 2, rows: [{ id: 'file:/a' }] });
  store.close();
});

test('a damaged write-ahead log loses the last writes, and no ownership', async () => {
  const dir = newDir();
  const first = open(dir);
  first.runs.begin('manual', '2026-01-01T00:00:00.000Z');
  first.inventory.intend([row('file:/a')], []);
  await first.inventory.copied();
  // As a killed process leaves it: closing would checkpoint the log.
  const left = newDir();
  for (const name of ['history.db', 'history.db-wal', 'inventory.json'])
    copyFileSync(path.join(dir, name), path.join(left, name));
  first.close();
  writeFileSync(path.join(left, 'history.db-wal'), Buffer.alloc(8_192, 0xa5));
  const again = open(left);
  expect(again.runs.lastId()).toBe(0);
  expect(again.inventory.list().map((r) => r.id)).toEqual(['file:/a']);
  again.inventory.forget(['file:/a']);
  again.close();
  // Rows that were removed since stay removed.
  const later = open(left);
  expect(later.inventory.list()).toEqual([]);
  later.close();
});

test('events are read in order, stay until acknowledged, and keep counting after a restart', () => {
  const dir = newDir();
  const first = open(dir);
  first.outbox.push([event(1), event(2), event(3)]);
  expect(first.outbox.peek(2).map((e) => e.seq)).toEqual([1, 2]);
  first.outbox.ack(1);
  first.close();
  const again = open(dir);
  expect(again.outbox.peek(10).map((e) => [e.seq, e.data.n])).toEqual([
    [2, 2],
    [3, 3],
  ]);
  for (const seq of [2, 3]) again.outbox.ack(seq);
  again.outbox.push([event(4)]);
  expect([again.outbox.peek(1)[0]?.seq, again.outbox.lastSeq()]).toEqual([4, 4]);
  again.close();
});

test('a full outbox counts dropped events in one gap, however often it overflows, and skips no number silently', () => {
  const store = open(newDir(), 3);
  for (let n = 1; n <= 10; n++) store.outbox.push([event(n)]);
  const left = store.outbox.peek(10);
  expect(left.map((e) => e.type)).toEqual(['gap', 'change', 'change']);
  expect(left[0]?.data).toEqual({ from: 1, to: 8, count: 8 });
  expect(left.map((e) => e.seq)).toEqual([8, 9, 10]);
  store.close();
});

describe('quiet runs in a row', () => {
  const quiet = (store: Store, count: number, trigger: RunRecord['trigger'] = 'schedule') => {
    for (let n = 0; n < count; n++) store.runs.finish(run(store.runs.begin(trigger, 't'), { trigger }), [], []);
  };

  test('are folded into the last one, which is found under each of their numbers and marked as folded', () => {
    const store = open(newDir());
    quiet(store, 5);
    expect(store.runs.list({}).map((r) => [r.id, r.quietFrom])).toEqual([
      [5, 2],
      [1, undefined],
    ]);
    for (const id of [2, 3, 4, 5]) expect(store.runs.get(id)?.run).toMatchObject({ id: 5, quietFrom: 2 });
    expect(store.runs.get(6)).toBeNull();
    store.close();
  });

  test('do not include one that a person requested', () => {
    const store = open(newDir());
    quiet(store, 3);
    quiet(store, 2, 'manual');
    quiet(store, 3);
    expect(store.runs.list({}).map((r) => r.id)).toEqual([8, 5, 4, 3, 1]);
    expect(store.runs.get(7)?.run).toMatchObject({ id: 8, quietFrom: 6 });
    for (let id = 1; id <= 8; id++) expect(store.runs.get(id)).not.toBeNull();
    store.close();
  });
});

describe('a run that another one took over', () => {
  const C1 = { ref: 'main', commit: 'c'.repeat(40), author: 'A', subject: 's', committedAt: 't' };
  const C2 = { ...C1, commit: 'd'.repeat(40) };

  test('has the result of the run that finished its commit, and names that run', () => {
    const store = open(newDir());
    store.runs.finish(
      run(store.runs.begin('push', 't'), { commit: C1, sync: 'progressing', changed: 1 }),
      [action],
      [],
    );
    store.runs.finish(run(store.runs.begin('manual', 't'), { commit: C1, sync: 'progressing' }), [], []);
    const last = { commit: C1, sync: 'rolled-back' as const, reason: 'Unhealthy' as const, message: 'did not settle' };
    store.runs.finish(run(store.runs.begin('manual', 't'), last), [], []);
    const ended = {
      sync: 'rolled-back',
      reason: 'Unhealthy',
      message: expect.stringMatching(/run #3.*did not settle/),
    };
    expect(store.runs.get(1)?.run).toMatchObject(ended);
    expect(store.runs.get(2)?.run).toMatchObject(ended);
    store.close();
  });

  test('is marked as stopped if the other run was about another commit', () => {
    const store = open(newDir());
    store.runs.finish(
      run(store.runs.begin('push', 't'), { commit: C1, sync: 'progressing', changed: 1 }),
      [action],
      [],
    );
    store.runs.finish(run(store.runs.begin('manual', 't'), { commit: C2 }), [], []);
    expect(store.runs.get(1)?.run).toMatchObject({
      sync: 'unknown',
      reason: 'Stopped',
      message: expect.stringMatching(/run #2, for commit ddddddd/),
    });
    store.close();
  });
});

test('a run in progress is progressing; one that ended in a bug is failed at once', () => {
  const store = open(newDir());
  const id = store.runs.begin('manual', 't');
  expect(store.runs.get(id)?.run.sync).toBe('progressing');
  store.runs.breakOff('Internal', 'a bug');
  expect(store.runs.get(id)?.run).toMatchObject({ sync: 'failed', reason: 'Internal', message: 'a bug' });
  store.close();
});

test('a run, its actions and its events are found by resource, commit and failure; of consecutive quiet runs the first and the last stay', () => {
  const store = open(newDir());
  const commit = { ref: 'main', commit: 'abc', author: 'A', subject: 's', committedAt: 't' };
  store.runs.finish(run(store.runs.begin('start', 't1'), { commit, changed: 1 }), [action], [event(1)]);
  for (const at of ['t2', 't3', 't4']) store.runs.finish(run(store.runs.begin('schedule', at), { commit }), [], []);
  store.runs.finish(run(store.runs.begin('manual', 't5'), { sync: 'failed', failed: 1 }), [], []);
  expect(store.runs.list({}).map((r) => r.id)).toEqual([5, 4, 2, 1]);
  expect(store.runs.list({ resource: 'file:/a' }).map((r) => r.id)).toEqual([1]);
  expect(store.runs.list({ commit: 'ab' }).map((r) => r.id)).toEqual([4, 2, 1]);
  expect(store.runs.list({ failed: true }).map((r) => r.id)).toEqual([5]);
  expect(store.runs.get(1)?.actions).toEqual([action]);
  expect(store.runs.actionsOf('file:/a', 5)).toEqual([{ run: 1, at: 't1', action }]);
  expect(store.outbox.count()).toBe(1);
  store.close();
});

describe('retention', () => {
  const MB = 1_000_000;
  const fill = (store: Store, runs: number, bytes: number) => {
    const big: ActionRecord = { ...action, why: [{ field: 'x', to: 'x'.repeat(bytes) }] };
    for (let i = 0; i < runs; i++) {
      const at = new Date(Date.UTC(2026, 0, 1) + i * 60_000).toISOString();
      const id = store.runs.begin('schedule', at);
      store.runs.finish(run(id, { startedAt: at, changed: 1 }), [big], []);
    }
  };
  const ids = (store: Store) => store.runs.list({ limit: 10_000 }).map((r) => r.id);
  const size = (dir: string, suffix = '') => statSync(path.join(dir, `history.db${suffix}`)).size;

  test('by age and by size removes a limited slice at a time; the file and the write-ahead log shrink', () => {
    const dir = newDir();
    const store = open(dir);
    fill(store, 1_000, 10_000);
    const full = size(dir) + size(dir, '-wal');
    expect(full).toBeGreaterThan(10 * MB);
    const limits = { before: '2026-01-01T01:40:00.000Z', maxBytes: 4 * MB };
    let slices = 0;
    for (let more = true; more; slices++) {
      const before = ids(store).length;
      more = store.tend(limits);
      expect(before - ids(store).length).toBeLessThanOrEqual(50);
    }
    expect(slices).toBeGreaterThan(10);
    const left = ids(store);
    expect(left[0]).toBe(1_000);
    expect(left.length).toBeGreaterThan(300);
    expect(left).toEqual(left.map((_, i) => 1_000 - i));
    expect(store.tend(limits)).toBe(false);
    expect(size(dir, '-wal')).toBeLessThanOrEqual(5 * MB);
    store.close();
    expect(size(dir)).toBeLessThan(6 * MB);
  });

  test('by age removes older runs, and never the newest; a doubtful date removes nothing', () => {
    const store = open(newDir());
    fill(store, 200, 10);
    while (store.tend({ before: null, maxBytes: 100 * MB }));
    expect(ids(store)).toHaveLength(200);
    while (store.tend({ before: '2026-01-01T01:00:00.000Z', maxBytes: 100 * MB }));
    expect(ids(store).at(-1)).toBe(61);
    while (store.tend({ before: '2030-01-01T00:00:00.000Z', maxBytes: 100 * MB }));
    expect(ids(store)).toEqual([200]);
    store.close();
  });

  test('makes a database of an earlier version able to shrink when it is opened', () => {
    const dir = newDir();
    const old = new Database(path.join(dir, 'history.db'));
    old.pragma('journal_mode = WAL');
    old.exec('CREATE TABLE filler (x)');
    old.close();
    const before = new Database(path.join(dir, 'history.db'));
    expect(before.pragma('auto_vacuum', { simple: true })).toBe(0);
    before.close();
    const store = open(dir);
    fill(store, 1_000, 10_000);
    while (store.tend({ before: null, maxBytes: MB }));
    store.close();
    expect(size(dir)).toBeLessThan(3 * MB);
  });
});

test('a pending rollback is found under the key that the first versions used', () => {
  const dir = newDir();
  const store = open(dir);
  const pendingRollback = { from: 'b', content: 'content of b', to: 'a', endpoints: ['broker'] };
  store.commits.set({ pendingRollback });
  store.close();
  const db = new Database(path.join(dir, 'history.db'));
  expect(db.prepare("SELECT value FROM meta WHERE key = 'wayBack'").pluck().get()).toBe(
    JSON.stringify(pendingRollback),
  );
  db.close();
  const again = open(dir);
  expect(again.commits.get().pendingRollback).toEqual(pendingRollback);
  again.close();
});
