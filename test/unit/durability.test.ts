/** What of the store survives a power cut: everything written before the last fsync of the log, and nothing after it. */
import { rmSync } from 'node:fs';
import fc from 'fast-check';
import { afterEach, expect, test } from 'vitest';
import type { ActionRecord, ResourceId, RunRecord } from '../../agent/core/types.ts';
import { silentLog } from '../../agent/log.ts';
import { openStore, type Store } from '../../agent/store/db.ts';
import type { CommandResult } from '../../manifests-schema/commands.ts';
import { createPowerCut, type PowerCut } from '../power-cut.ts';
import { inMemory } from '../scratch.ts';

const dirs: string[] = [];
/** In memory if possible: which data is synced is derived from statements, not from the disk. */
const newDir = (): string => {
  const dir = inMemory('durability');
  dirs.push(dir);
  return dir;
};
const stores: Store[] = [];
const open = (dir: string, power?: PowerCut) => {
  const store = openStore({ dir, now: () => new Date(0), log: silentLog, ...(power && { trace: power.trace }) });
  stores.push(store);
  return store;
};
function begin(): { store: Store; power: PowerCut; cut(): Store } {
  const dir = newDir();
  const power = createPowerCut(dir);
  const store = open(dir, power);
  return {
    store,
    power,
    cut() {
      const to = newDir();
      power.cut(to);
      return open(to);
    },
  };
}
afterEach(() => {
  for (const store of stores.splice(0)) store.close();
  for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true });
});

const origin = { file: 'x.yaml', line: 1, layer: 'hosts/a' };
const row = (id: ResourceId, hash = 'h1') => ({ id, hash, owned: true, origin, info: {} });
const action: ActionRecord = { id: 'file:/a', op: 'update', why: [], result: 'done', drift: true, durationMs: 1 };
const finished = (id: number): RunRecord => ({
  ...{ id, trigger: 'schedule', startedAt: 't', durationMs: 1, sync: 'synced', reason: '', message: '' },
  ...{ commit: null, changed: 0, failed: 0, repaired: 0 },
});

test('the id of a command is durable before anything is done for it, and its answer before it is sent', () => {
  const { store, cut } = begin();
  const command = { id: 'c-1', command: 'pause', args: {}, expires: '1970-01-01T00:30:00Z' } as const;
  store.commands.begin(command, { place: null, correlation: null });
  expect(cut().commands.find('c-1')).toMatchObject({ command, result: null });
  store.commands.finish('c-1', { state: 'done' } as CommandResult);
  expect(cut().commands.find('c-1')).toMatchObject({ result: { state: 'done' } });
});

test('a forgotten id leaves a record that stands for it', () => {
  const { store, cut } = begin();
  const command = { id: 'c-1', command: 'pause', args: {}, expires: '1970-01-01T00:30:00Z' } as const;
  store.commands.begin(command, { place: null, correlation: null });
  store.commands.finish('c-1', { state: 'done' } as CommandResult);
  store.commands.sweep(Date.parse('1970-01-01T00:30:00Z'));
  const { commands } = cut();
  expect(commands.find('c-1')).toBeNull();
  expect(commands.forgotten()).toBe(Date.parse('1970-01-01T00:30:00Z'));
});

test('the mark of a trial is durable with the intents, or earlier if requested', () => {
  const { store, cut } = begin();
  store.commits.beginTrial('one', []);
  expect(cut().commits.get().trial).toBeNull();
  store.inventory.intend([row('file:/a')], []);
  expect(cut().commits.get().trial).toBe('one');
  store.commits.beginTrial('two', []);
  store.beforeActing();
  expect(cut().commits.get().trial).toBe('two');
});

test('a durable write of an unchanged value still makes earlier writes durable', () => {
  const { store, cut } = begin();
  store.inventory.intend([row('file:/a')], []);
  store.commits.beginTrial('one', []);
  store.inventory.intend([row('file:/a')], []);
  expect(cut().commits.get().trial).toBe('one');
  store.facts.set({ unsettled: ['file:/a'] });
  store.commits.set({ trial: 'one' });
  expect(cut().facts.get('unsettled')).toEqual(['file:/a']);
});

test('writes that nothing depends on cost no fsync', () => {
  const { store, power } = begin();
  store.runs.begin('schedule', 't');
  store.facts.set({ unsettled: ['file:/a'], standing: ['x'] });
  const before = power.synced();
  store.beforeActing();
  expect(power.synced()).toBe(before);
});

test('a run without news is written without an fsync; a run with news has one', () => {
  const { store, power, cut } = begin();
  const before = power.synced();
  store.runs.finish(finished(store.runs.begin('schedule', 't')), [], []);
  store.facts.set({ shown: {} as never });
  expect(power.synced()).toBe(before);
  const id = store.runs.begin('schedule', 't');
  store.runs.finish(finished(id), [], [{ at: 't', type: 'run', run: id, data: {} }]);
  expect(power.synced()).toBe(before + 1);
  const again = cut();
  expect(again.runs.list({}).map((r) => r.id)).toEqual([2, 1]);
  expect(again.outbox.count()).toBe(1);
});

test('confirming a re-observable action costs no fsync, confirming a restart or a job does', () => {
  const { store, power } = begin();
  store.inventory.intend([row('file:/a'), row('unit:b.service')], []);
  const before = power.synced();
  store.inventory.settle([{ id: 'file:/a', hash: 'h1', notified: true, reobservable: true }]);
  expect(power.synced()).toBe(before);
  store.inventory.settle([
    { id: 'file:/a', hash: 'h1', notified: true, reobservable: true },
    { id: 'unit:b.service', hash: 'h1', notified: true, reobservable: false },
  ]);
  expect(power.synced()).toBe(before + 1);
});

test('watchers get events once their record is durable, and never those of a transaction that failed', () => {
  const { store, cut } = begin();
  const heard: [seq: number, survives: number][] = [];
  store.outbox.watch(({ seq }) => heard.push([seq, cut().outbox.lastSeq()]));
  const id = store.runs.begin('schedule', 't');
  const event = { at: 't', type: 'change' as const, run: id, data: {} };
  // The second action cannot be written.
  const unwritable = { ...action, durationMs: 1n as unknown as number };
  expect(() => store.runs.finish(finished(id), [action, unwritable], [event])).toThrow();
  store.runs.finish(finished(id), [action], [event]);
  store.outbox.push([event, event]);
  expect(heard).toEqual([
    [1, 1],
    [2, 3],
    [3, 3],
  ]);
});

test('the backup copy of the database never contains a run that a power cut would lose', async () => {
  const { store, cut } = begin();
  store.runs.finish(finished(store.runs.begin('start', 't')), [], []);
  store.inventory.intend([row('file:/a')], []);
  await store.inventory.copied();
  store.runs.finish(finished(store.runs.begin('schedule', 't')), [action], []);
  store.runs.finish(finished(store.runs.begin('schedule', 't')), [], []);
  const again = cut();
  expect(again.runs.lastId()).toBe(2);
  expect(again.inventory.list().map((r) => r.id)).toEqual(['file:/a']);
});

/** After any calls, a power cut leaves the state after one of them, and none older than the last durable one. */
test('a power cut leaves the store as it was after some call, and no call before the last durable one', () => {
  const id = fc.constantFrom<ResourceId>('file:/a', 'file:/b', 'unit:c.service');
  const hash = fc.constantFrom('h1', 'h2');
  const commit = fc.constantFrom('one', 'two');
  const step = fc.oneof(
    fc.record({ op: fc.constant('intend' as const), id, hash, lasts: fc.constant(true) }),
    fc.record({ op: fc.constant('reobservable' as const), id, hash, lasts: fc.constant(false) }),
    fc.record({ op: fc.constant('restarted' as const), id, hash, lasts: fc.constant(true) }),
    fc.record({ op: fc.constant('forget' as const), id, lasts: fc.constant(true) }),
    fc.record({ op: fc.constant('trial' as const), commit, lasts: fc.constant(false) }),
    fc.record({ op: fc.constant('accept' as const), commit, lasts: fc.constant(true) }),
    fc.record({ op: fc.constant('unsettled' as const), id, lasts: fc.constant(false) }),
    fc.record({ op: fc.constant('quiet run' as const), lasts: fc.constant(false) }),
    fc.record({ op: fc.constant('told run' as const), lasts: fc.constant(true) }),
    fc.record({ op: fc.constant('ack' as const), lasts: fc.constant(false) }),
  );
  type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;
  const act = ({ inventory, commits, facts, runs, outbox }: Store, s: Step): void => {
    if (s.op === 'intend') inventory.intend([row(s.id, s.hash)], [{ target: 'unit:c.service', source: s.id }]);
    else if (s.op === 'reobservable')
      inventory.settle([{ id: s.id, hash: s.hash, notified: true, reobservable: true }]);
    else if (s.op === 'restarted') inventory.settle([{ id: s.id, hash: s.hash, notified: true, reobservable: false }]);
    else if (s.op === 'forget') inventory.forget([s.id]);
    else if (s.op === 'trial') commits.beginTrial(s.commit, []);
    else if (s.op === 'accept') commits.set({ accepted: s.commit, trial: null });
    else if (s.op === 'unsettled') facts.set({ unsettled: [s.id] });
    else if (s.op === 'ack') outbox.ack(outbox.peek(1)[0]?.seq ?? 0);
    else {
      const run = runs.begin('schedule', 't');
      const events = s.op === 'told run' ? [{ at: 't', type: 'run' as const, run, data: {} }] : [];
      runs.finish(finished(run), [], events);
    }
  };
  const stateOf = ({ inventory, commits, facts, runs, outbox }: Store) =>
    JSON.stringify([
      inventory.list(),
      inventory.pendingNotifies(),
      commits.get(),
      facts.get('unsettled') ?? null,
      runs.list({}).map((r) => r.id),
      outbox.peek(100).map((e) => e.seq),
    ]);
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
      const { store, cut } = begin();
      const states = [stateOf(store)];
      let least = 0;
      for (const s of steps) {
        const before = stateOf(store);
        act(store, s);
        states.push(stateOf(store));
        // A call that changed nothing needs no durability.
        if (s.lasts && stateOf(store) !== before) least = states.length - 1;
        expect(states.slice(least)).toContain(stateOf(cut()));
      }
    }),
    { numRuns: 40 },
  );
});
