/** What follows a rollback: jobs that ran or were skipped, and its target while the git server is unreachable. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createWorld, type Declaration, type World } from './world.ts';

let world: World;
beforeEach(() => {
  world = createWorld();
});
afterEach(() => world.end());

const value = (id: Parameters<World['things']['get']>[0]) => world.things.get(id)?.value;
const rules = (more: Declaration = {}): Declaration => ({ 'file:/a': { value: '1' }, ...more });

/** Stops a run as soon as `when` holds, and then ends the process. */
async function cutOff(when: (line: { type: string; phase?: string }) => boolean): Promise<void> {
  const stop = new AbortController();
  await world.run({
    signal: stop.signal,
    emit: (line) => {
      if (when(line)) stop.abort();
    },
  });
  expect(stop.signal.aborted).toBe(true);
  world.crash();
}
const atTheRollback = (line: { type: string; phase?: string }) => line.type === 'phase' && line.phase === 'rollback';

describe('a job that is skipped during a rollback', () => {
  const input = (value: string, more: Declaration = {}): Declaration => ({
    'file:/a': { value, notify: ['job:migrate'] },
    'job:migrate': { value: '1' },
    ...more,
  });
  const BAD = input('2', { 'service:p/web': { value: '1', health: 'bad', after: ['job:migrate'] } });
  const WINDOW = { schedule: '0 22 * * *', duration: '2h' };
  beforeEach(async () => {
    world.commit('good', input('1'));
    await world.run();
    world.commit('bad', BAD);
  });

  test('does not run later because of it, for instance while the repository is unreachable', async () => {
    expect(await world.run()).toMatchObject({ rollback: { well: true } });
    expect(world.deps().store.inventory.pendingNotifies()).toEqual([]);
    world.ran = [];
    world.gitAway = true;
    await world.run();
    await world.run();
    expect([value('file:/a'), world.ran]).toEqual(['1', []]);
  });

  test.each<[string, Declaration | null]>([
    ['waits for its window', input('3', { host: { window: WINDOW } })],
    ['declares nothing', null],
  ])(
    'does not run after an interrupted rollback either, if a commit that arrived meanwhile %s',
    async (_what, next) => {
      await cutOff(atTheRollback);
      expect(value('file:/a')).toBe('2');
      world.ran = [];
      world.commit('next', next);
      for (let i = 0; i < 3; i++) await world.run();
      expect([value('file:/a'), world.ran]).toEqual(['1', []]);
      expect(world.deps().store.commits.get().pendingRollback).toBeNull();
    },
  );
});

describe('a commit that is retried without being at fault runs no job twice', () => {
  const SLOW = rules({ 'file:/b': { value: '1', notify: ['job:migrate'] }, 'job:migrate': { value: '1' } });
  beforeEach(async () => {
    world.commit('good', rules());
    await world.run();
    world.onApply = () => {
      world.farEnd = 'silent';
    };
    world.commit('slow', SLOW);
  });

  test('even if the run of the job was interrupted before the repository became unreachable', async () => {
    world.onRemove = () => {
      world.farEnd = 'answers';
    };
    await cutOff(() => world.ran.length > 0);
    for (let i = 0; i < 3; i++) await world.run();
    expect(world.deps().store.commits.get()).toMatchObject({ postponed: { times: 1, ran: ['job:migrate'] } });
    world.onApply = () => undefined;
    world.time += 600_000;
    await world.run();
    expect([value('file:/b'), world.ran]).toEqual(['1', ['job:migrate']]);
    expect(world.deps().store.commits.get()).toMatchObject({ accepted: 'slow', postponed: null });
  });

  test('even if the repository stays unreachable after the rollback', async () => {
    await world.run();
    expect([value('file:/b'), world.ran]).toEqual(['1', ['job:migrate']]);
    expect(world.deps().store.commits.get()).toMatchObject({ accepted: 'slow', postponed: null });
  });

  test('even if the agent is stopped when that is known', async () => {
    const stop = new AbortController();
    world.point = (name) => {
      if (name === 'after commits.forgive' && world.deps().store.commits.get().postponed?.times === 0) stop.abort();
    };
    await world.run({ signal: stop.signal });
    expect(stop.signal.aborted).toBe(true);
    world.point = () => undefined;
    world.crash();
    world.onApply = () => undefined;
    world.farEnd = 'answers';
    await world.run();
    expect([value('file:/b'), world.ran]).toEqual(['1', ['job:migrate']]);
  });
});

test.each<[string, Declaration | null]>([
  ['returns to the accepted commit', rules()],
  ['declares nothing', null],
])('a trial that waits for the end of an outage is over if the head then %s', async (_what, next) => {
  world.commit('good', rules());
  await world.run();
  world.commit('new', { 'file:/a': { value: '2' }, 'service:p/web': { value: '1' } });
  world.away.add('service');
  await world.run();
  expect([value('file:/a'), world.deps().store.commits.get().trial]).toEqual(['2', 'new']);
  world.commit(next === null ? 'lost' : 'good', next);
  await world.run();
  expect(value('file:/a')).toBe('1');
  world.gitAway = true;
  await world.run();
  expect([value('file:/a'), world.deps().store.commits.get().trial]).toEqual(['1', null]);
});

test('a rollback that continues after a restart without the server ends without a trial, and a commit that was not the cause is tried again', async () => {
  world.commit('good', rules());
  await world.run();
  // Accepted without being good: the target of the rollback is not the accepted commit.
  world.commit('off', rules({ host: { rollback: 'off' }, 'service:p/web': { value: '1', health: 'bad' } }));
  await world.run();
  expect(world.deps().store.commits.get()).toMatchObject({ accepted: 'off', lastGood: 'good' });
  world.onApply = () => {
    world.farEnd = 'silent';
  };
  world.commit('new', rules({ 'file:/b': { value: '1' } }));
  await cutOff(atTheRollback);
  for (let i = 0; i < 3; i++) await world.run();
  expect(world.deps().store.commits.get()).toMatchObject({ accepted: 'good', pendingRollback: null });
  world.onApply = () => undefined;
  world.farEnd = 'answers';
  await world.run();
  expect(value('file:/b')).toBe('1');
  expect(world.deps().store.commits.get()).toMatchObject({ accepted: 'new', lastGood: 'new' });
});
