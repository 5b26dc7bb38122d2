/** The date is set while a commit settles: neither a verdict that comes too soon nor one that never comes. */
import { afterEach, beforeEach, expect, test } from 'vitest';
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
