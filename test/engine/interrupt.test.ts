/** A run that is asked to yield, stopped or killed at every effect and every wait: its work is finished. */
import { expect, test } from 'vitest';
import { DISTURBANCES, type Disturbance, disturbedRun } from './crash.ts';
import { createWorld, type Declaration, type World } from './world.ts';

const HOST = { settle: { timeout: '2s' } };
const GOOD: Declaration = {
  host: HOST,
  'file:/a': { value: '1', notify: ['service:p/web'] },
  'file:/firewall': { value: 'open' },
  'service:p/web': { value: '1', port: 1 },
  'service:p/db': { value: '1', port: 2 },
};
/** Changes a file, swaps two ports, adds a service and a file, and cuts the host's connection. */
const CUT: Declaration = {
  host: HOST,
  'file:/a': { value: '2', notify: ['service:p/web'] },
  'file:/firewall': { value: 'shut' },
  'file:/new': { value: '1' },
  'service:p/web': { value: '1', port: 2 },
  'service:p/db': { value: '1', port: 1 },
  'service:p/new': { value: '1' },
};
/** The commit adds what cuts the connection: a rollback has to remove it. */
const WALL_IS_NEW: Declaration = { ...GOOD, 'file:/firewall': { value: 'shut' } };
const WITHOUT_WALL: Declaration = { host: HOST, 'file:/a': { value: '1' }, 'service:p/web': { value: '1', port: 1 } };
/** The commit removes what the host's connection needs, first of all, because another service wants its port. */
const TUNNELLED: Declaration = { host: HOST, 'file:/a': { value: '1' }, 'service:p/tunnel': { value: '1', port: 1 } };
const WITHOUT_TUNNEL: Declaration = { host: HOST, 'file:/a': { value: '1' }, 'service:p/web': { value: '1', port: 1 } };
const UNWELL: Declaration = {
  ...CUT,
  'file:/firewall': { value: 'open' },
  'service:p/new': { value: '1', health: 'bad' },
};
const SLOW_AND_UNWELL: Declaration = { ...UNWELL, 'service:p/new': { value: '1', health: 'wait' } };
const BETTER: Declaration = { ...CUT, 'file:/firewall': { value: 'open' } };

/** Runs until the result stays the same, and asks each run to yield as soon as it waits. */
async function untilAtRest(world: World): Promise<string> {
  let sync = '';
  for (let i = 0; i < 8; i++) sync = ((await world.run({ trigger: 'push' })) as unknown as { sync: string }).sync;
  return sync;
}

const stateOf = (world: World) =>
  Object.fromEntries(
    [...world.things].map(([id, { value, port }]) => [id, port === undefined ? value : [value, port]]),
  );
const declared = ({ host: _, ...wanted }: Declaration) =>
  Object.fromEntries(
    Object.entries(wanted).map(([id, { value, port }]) => [id, port === undefined ? value : [value, port]]),
  );

test.each<[string, Declaration, Declaration, Disturbance]>(
  DISTURBANCES.flatMap((how): [string, Declaration, Declaration, Disturbance][] => [
    ['a commit that cuts the host off', GOOD, CUT, how],
    ['a commit that cuts the host off by what it adds', WITHOUT_WALL, WALL_IS_NEW, how],
    ['a commit that cuts the host off by what it removes first', TUNNELLED, WITHOUT_TUNNEL, how],
    ['a commit that does not settle', GOOD, UNWELL, how],
    ['a commit that is never ready', GOOD, SLOW_AND_UNWELL, how],
  ]),
)('%s is rolled back, interrupted at every point ($3)', async (_what, before, after, how) => {
  let isDue = true;
  for (let at = 1; isDue; at++) {
    const world = createWorld({ power: how === 'a power cut' });
    try {
      world.commit('good', before);
      await world.run();
      world.commit('cut', after);
      isDue = (await disturbedRun(world, at, how)).where !== null;
      const sync = await untilAtRest(world);
      const { store } = world.deps();
      expect(stateOf(world), `${how} at point ${at}`).toEqual(declared(before));
      expect(sync, `${how} at point ${at}`).toBe('rolled-back');
      expect(store.commits.get(), `${how} at point ${at}`).toMatchObject({
        accepted: 'good',
        lastGood: 'good',
        trial: null,
      });
      expect(
        store.commits.listBad(5).map((b) => b.commit),
        `${how} at point ${at}`,
      ).toEqual(['cut']);
    } finally {
      world.end();
    }
  }
});

test.each<[Disturbance]>(DISTURBANCES.map((how) => [how]))('a good commit is accepted, whenever %s', async (how) => {
  let isDue = true;
  for (let at = 1; isDue; at++) {
    const world = createWorld({ power: how === 'a power cut' });
    try {
      world.commit('good', GOOD);
      await world.run();
      world.commit('better', BETTER);
      isDue = (await disturbedRun(world, at, how)).where !== null;
      expect(await untilAtRest(world), `${how} at point ${at}`).toBe('synced');
      expect(stateOf(world)).toEqual(declared(BETTER));
      expect(world.deps().store.commits.get()).toMatchObject({ accepted: 'better', lastGood: 'better', trial: null });
      expect(world.deps().store.commits.listBad(5)).toEqual([]);
    } finally {
      world.end();
    }
  }
});

test('a stop while two resources swap their claims leaves both running in the end', async () => {
  let isDue = true;
  for (let at = 1; isDue; at++) {
    const world = createWorld();
    try {
      world.commit('good', GOOD);
      await world.run();
      world.commit('swapped', BETTER);
      isDue = (await disturbedRun(world, at, 'SIGTERM')).where !== null;
      const ports = ['service:p/web', 'service:p/db'].map((id) => world.things.get(id as 'service:p/web')?.port);
      expect(ports.sort(), `at point ${at}`).toEqual([1, 2]);
    } finally {
      world.end();
    }
  }
});

test('a commit is not blamed for an unrelated outage, whenever the agent is interrupted', async () => {
  for (const how of DISTURBANCES) {
    let isDue = true;
    for (let at = 1; isDue; at++) {
      const world = createWorld({ power: how === 'a power cut' });
      try {
        world.commit('good', GOOD);
        await world.run();
        world.commit('better', BETTER);
        world.onApply = () => {
          world.farEnd = 'silent';
        };
        isDue = (await disturbedRun(world, at, how)).where !== null;
        for (let i = 0; i < 4; i++) await world.run();
        world.onApply = () => undefined;
        world.farEnd = 'answers';
        expect(await untilAtRest(world), `${how} at point ${at}`).toBe('synced');
        expect(stateOf(world), `${how} at point ${at}`).toEqual(declared(BETTER));
      } finally {
        world.end();
      }
    }
  }
});
