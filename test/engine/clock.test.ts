/**
 * The date is changed: settling takes neither too short nor forever, no window opens and no pause ends before the date is
 * confirmed.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Outcome } from '../../agent/engine/types.ts';
import { createWorld, type World } from './world.ts';

let world: World;
beforeEach(() => {
  world = createWorld();
});
afterEach(() => world.end());

const DAY = 86_400_000;

test.each([
  ['forward', DAY],
  ['back', -DAY],
])('a clock that is set %s by a day makes settling neither shorter nor longer', async (_way, skew) => {
  world.commit('good', { 'service:p/web': { value: '1' } });
  await world.run();
  world.commit('slow', { host: { settle: { timeout: '20s' } }, 'service:p/web': { value: '2', health: 'wait' } });
  const began = world.time;
  let looks = 0;
  const outcome = await world.run({
    emit(line) {
      if (line.type !== 'phase' || line.phase !== 'settle') return;
      world.skew = skew;
      looks++;
    },
  });
  expect(outcome).toMatchObject({ sync: 'rolled-back', rollback: { from: 'slow', to: 'good', well: true } });
  expect(looks).toBeGreaterThan(15);
  expect(world.time - began).toBeLessThan(60_000);
  const [run] = world.deps().store.runs.list({ limit: 1 });
  expect(run?.durationMs).toBe(world.time - began);
});

describe('windows and pauses', () => {
  const CLOSED = { schedule: '0 22 * * *', duration: '2h' };
  /** From noon into the window. */
  const HOURS = 10.5 * 3_600_000;
  const declaration = (value: string) => ({ host: { window: CLOSED }, 'file:/a': { value } });
  const value = () => world.things.get('file:/a')?.value;
  const run = async (request: Parameters<World['run']>[0] = {}) =>
    (await world.run(request)) as Outcome & { sync: string };

  beforeEach(async () => {
    world.commit('one', { 'file:/a': { value: '1' } });
    await run();
    world.commit('two', declaration('2'));
  });

  test.each([
    ['hours forward', HOURS],
    ['years forward', HOURS + 3_650 * DAY],
    ['hours back', HOURS - DAY],
    ['years back, before the build date of this program', HOURS - 3_650 * DAY],
  ])('a window does not open because the date is set %s', async (_how, skew) => {
    expect((await run()).sync).toBe('held');
    world.skew = skew;
    const outcome = await run();
    expect(outcome).toMatchObject({ sync: 'held', reason: 'WindowClosed' });
    expect(outcome.gate?.reason).toMatch(/waits for the maintenance window .*: this host's clock (was set|says)/);
    expect(value()).toBe('1');
  });

  test('a window opens as soon as a time server confirms the date', async () => {
    await run();
    world.skew = HOURS;
    await run();
    world.timeSync = 'yes';
    expect((await run()).sync).toBe('synced');
    expect(value()).toBe('2');
  });

  test('a window opens when the date was not set for an hour', async () => {
    await run();
    world.skew = HOURS - 0.5 * 3_600_000;
    await run();
    world.time += 3_700_000;
    expect((await run()).sync).toBe('synced');
  });

  test('a window waits for a time server that has yet to confirm the date', async () => {
    world.time += HOURS;
    world.crash();
    world.timeSync = 'awaited';
    expect((await run()).gate?.reason).toMatch(/is not set by its time server yet/);
    world.timeSync = 'yes';
    expect((await run()).sync).toBe('synced');
  });

  test('a person can force the commit nevertheless', async () => {
    await run();
    world.skew = HOURS;
    expect((await run({ force: true })).sync).toBe('synced');
  });

  test('a host that boots in 1970 repairs drift, opens no window, and continues when the date is set', async () => {
    world.crash();
    world.skew = -world.time;
    world.things.delete('file:/a');
    expect((await run()).sync).toBe('held');
    expect(value()).toBe('1');
    // Set by hand, and still outside of the window.
    world.skew = 0;
    expect((await run()).gate?.reason).toMatch(/waits for the maintenance window \([^)]*\)$/);
    world.skew = HOURS;
    world.timeSync = 'yes';
    expect((await run()).sync).toBe('synced');
  });

  test('a pause with a time limit does not end because the date is set', async () => {
    const until = new Date(world.time + 3_600_000).toISOString();
    world.deps().store.commits.set({ pause: { until, reason: '', at: until } });
    expect((await run()).gate?.kind).toBe('pause');
    world.skew = HOURS;
    expect((await run()).gate?.kind).toBe('pause');
    world.timeSync = 'yes';
    expect((await run()).gate?.kind).not.toBe('pause');
  });
});
