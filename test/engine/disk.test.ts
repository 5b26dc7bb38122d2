/** The state disk is full: work that needs no record continues, nothing new is started, and everything is recorded afterwards. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { recover } from './crash.ts';
import { createWorld, type Declaration, type World } from './world.ts';

let world: World;
beforeEach(async () => {
  world = createWorld();
  world.commit('good', GOOD);
  expect(await world.run()).toMatchObject({ sync: 'synced' });
  world.diskFull = true;
});
afterEach(() => world.end());

const GOOD: Declaration = {
  'service:p/web': { value: '1' },
  'service:p/db': { value: '1' },
  'file:/a': { value: '1', notify: ['service:p/db'] },
};
const value = (id: Parameters<World['things']['get']>[0]) => world.things.get(id)?.value;

test('recorded resources are repaired, and reported; the run and its events are written when there is space', async () => {
  const { outbox, runs } = world.deps().store;
  const seq = outbox.lastSeq();
  world.things.delete('service:p/web');
  const outcome = await world.run();
  expect(outcome).toMatchObject({
    sync: 'failed',
    reason: 'StateUnwritable',
    message: expect.stringMatching(/^cannot write to \/state: .*disk is full/),
    actions: [{ id: 'service:p/web', op: 'create', result: 'done' }],
  });
  expect(value('service:p/web')).toBe('1');
  expect([outbox.lastSeq(), runs.list({})]).toEqual([seq, [expect.objectContaining({ id: 1 })]]);

  world.diskFull = false;
  expect(await world.run()).toMatchObject({ sync: 'synced', actions: [] });
  expect(runs.list({}).map((r) => [r.id, r.sync])).toEqual([
    [3, 'synced'],
    [2, 'failed'],
    [1, 'synced'],
  ]);
  expect(runs.get(2)?.actions).toMatchObject([{ id: 'service:p/web', result: 'done' }]);
  expect(outbox.peek(100).map((e) => [e.type, e.run])).toEqual(
    expect.arrayContaining([
      ['repair', 2],
      ['run', 2],
    ]),
  );
  expect(world.deps().store.trouble()).toBeNull();
});

test('a repair that requires a restart waits, because a crash would lose the restart', async () => {
  world.things.set('file:/a', { ...world.things.get('file:/a'), value: 'tampered' } as never);
  const starts = () => world.things.get('service:p/db')?.starts;
  const before = starts();
  expect(await world.run()).toMatchObject({ actions: [{ id: 'file:/a', result: 'failed' }, { result: 'blocked' }] });
  expect([value('file:/a'), starts()]).toEqual(['tampered', before]);
  world.crash();
  expect(await recover(world, GOOD)).toEqual([]);
  expect([value('file:/a'), starts()]).toEqual(['1', (before ?? 0) + 1]);
});

test('a new commit waits, is not bad, and the accepted one is repaired meanwhile', async () => {
  world.commit('next', { ...GOOD, 'service:p/web': { value: '2' } });
  world.things.delete('service:p/db');
  const outcome = await world.run();
  expect(outcome).toMatchObject({
    sync: 'failed',
    reason: 'StateUnwritable',
    message: expect.stringMatching(/^commit next waits: cannot write/),
    commit: { commit: 'next' },
  });
  expect([value('service:p/web'), value('service:p/db')]).toEqual(['1', '1']);
  world.diskFull = false;
  expect(await world.run()).toMatchObject({ sync: 'synced' });
  expect(value('service:p/web')).toBe('2');
  expect(world.deps().store.commits.listBad(5)).toEqual([]);
});

test('requests that need a record are refused', () => {
  const { commits } = world.deps().store;
  expect(() => commits.set({ pause: null })).toThrow(expect.objectContaining({ code: 'StateUnwritable' }));
});

test('pending records in memory are limited, and dropped ones are counted', () => {
  const { outbox } = world.deps().store;
  const event = (n: number) => [{ at: 't', type: 'change' as const, run: null, data: { n } }];
  for (let n = 0; n < 2_100; n++) outbox.push(event(n));
  world.diskFull = false;
  outbox.push(event(2_100));
  const left = outbox.peek(5_000).filter((e) => e.run === null);
  expect(left.filter((e) => e.type === 'change').map((e) => e.data.n)).toEqual(
    Array.from({ length: 2_001 }, (_, i) => i + 100),
  );
  expect(left.filter((e) => e.type === 'gap').map((e) => e.data.count)).toEqual([100]);
});

test('values that are stored with a pending report can be read at once, and are written together with it', () => {
  const { outbox, facts } = world.deps().store;
  const event = { at: 't', type: 'drift' as const, run: null, data: {} };
  outbox.push([event], { failingChecks: ['check:a'] });
  expect(facts.get('failingChecks')).toEqual(['check:a']);
  world.diskFull = false;
  outbox.push([event]);
  world.crash();
  const again = world.deps().store;
  expect(again.facts.get('failingChecks')).toEqual(['check:a']);
  expect(again.outbox.peek(100).filter((e) => e.type === 'drift')).toHaveLength(2);
});

test('a disk that has no space for fetched objects is reported, with what to do', async () => {
  const { source } = world.deps();
  const full = Object.assign(new Error("ENOSPC: no space left on device, mkdir '/state/repo.git/incoming'"), {
    code: 'ENOSPC',
  });
  world.diskFull = false;
  world.source = { ...source, checkout: () => Promise.reject(full) };
  world.crash();
  world.commit('next', { ...GOOD, 'service:p/web': { value: '2' } });
  const { reason, message } = await world.run();
  expect(reason).toBe('StateUnwritable');
  expect(message).toMatch(/^cannot write to \/state: ENOSPC.*; free or repair its disk/);
});
