/** After an interruption at any point the next run converges: every point of an apply one by one, and random histories. */
import { expect, test } from 'vitest';
import { DISTURBANCES, disturbedRun, history, recover } from './crash.ts';
import { createWorld, type Declaration } from './world.ts';

const BEFORE: Declaration = {
  'file:/a': { value: '1', notify: ['service:p/web'] },
  'file:/gone': { value: '1' },
  'service:p/web': { value: '1', port: 1 },
  'service:p/db': { value: '1', port: 2 },
  'service:p/old': { value: '1', port: 3 },
};
/** A changed file with its notify, a new file, a removal, a swap of ports, a successor on a port, a job. */
const AFTER: Declaration = {
  'file:/a': { value: '2', notify: ['service:p/web', 'service:p/cache'] },
  'file:/b': { value: '1', notify: ['service:p/cache'] },
  'service:p/web': { value: '1', port: 2 },
  'service:p/db': { value: '1', port: 1 },
  'service:p/new': { value: '1', port: 3 },
  'service:p/cache': { value: '1' },
  'job:migrate': { value: '1' },
};
const WITHDRAWN: Declaration = { ...AFTER, 'service:p/cache': { value: '2', health: 'bad' } };

test.each(
  DISTURBANCES.flatMap((how) => [
    { what: 'an apply', how, after: AFTER, end: AFTER },
    { what: 'an apply that is taken back', how, after: WITHDRAWN, end: BEFORE },
  ]),
)('$what, interrupted before and after each single effect: $how', async ({ how, after, end }) => {
  const points = new Set<string>();
  let total = 0;
  for (let at = 1; ; at++) {
    const world = createWorld({ power: how === 'a power cut' });
    try {
      world.commit('before', BEFORE);
      await world.run();
      world.commit('after', after);
      const { count, where } = await disturbedRun(world, at, how);
      total = count;
      if (where === null) break;
      points.add(where);
      expect(await recover(world, end), `${how} ${where} (point ${at})`).toEqual([]);
    } finally {
      world.end();
    }
  }
  expect(total).toBeGreaterThan(20);
  // Each kind of effect was interrupted before and after it.
  const effects = [...points].map((p) => p.replace(/^(before|after) /, ''));
  for (const effect of effects)
    expect([...points]).toEqual(expect.arrayContaining([`before ${effect}`, `after ${effect}`]));
  expect(effects).toEqual(
    expect.arrayContaining([
      'inventory.intend',
      'inventory.settle',
      'inventory.forget',
      'commits.set',
      'runs.finish',
      'apply file',
      'apply service',
      'remove service',
    ]),
  );
});

/** A resource that was created and is no longer wanted must be known as ours, and its dependents must know each change. */
test.each(
  DISTURBANCES.flatMap((how) => [
    { what: 'an apply that another commit replaces', how, after: AFTER, next: BEFORE },
    {
      what: 'a change that restarts another resource',
      how,
      after: { ...BEFORE, 'file:/a': { value: '2', notify: ['service:p/web', 'service:p/db'] } } as Declaration,
      next: null,
    },
  ]),
)('$what, interrupted before and after each single effect: $how', async ({ how, after, next }) => {
  let isDue = true;
  for (let at = 1; isDue; at++) {
    const world = createWorld({ power: how === 'a power cut' });
    try {
      world.commit('before', BEFORE);
      await world.run();
      world.commit('after', after);
      const { where } = await disturbedRun(world, at, how);
      isDue = where !== null;
      if (next !== null) world.commit('next', next);
      expect(await recover(world, next ?? after), `${how} ${where} (point ${at})`).toEqual([]);
    } finally {
      world.end();
    }
  }
});

test('the trial of a commit is durable before anything on the host changes, whether or not an intent announces it', async () => {
  const done = new Set<string>();
  let isDue = true;
  for (let at = 1; isDue; at++) {
    const world = createWorld({ power: true });
    try {
      world.commit('before', BEFORE);
      await world.run();
      world.commit('after', AFTER);
      const { where } = await disturbedRun(world, at, 'a power cut');
      isDue = where !== null;
      const effect = /^before ((?:apply|remove|release|refresh) .*)/.exec(where ?? '')?.[1];
      if (effect === undefined) continue;
      done.add(effect);
      const { trial, accepted } = world.deps().store.commits.get();
      expect([trial, accepted], `${where} (point ${at})`).toContain('after');
    } finally {
      world.end();
    }
  }
  expect([...done]).toEqual(expect.arrayContaining(['remove service', 'release service', 'apply file']));
});

test.each(['kill -9', 'a power cut'] as const)(
  'a failure is reported once, whenever the agent is ended by %s',
  async (how) => {
    let isDue = true;
    for (let at = 1; isDue; at++) {
      const world = createWorld({ power: how === 'a power cut' });
      try {
        world.commit('before', BEFORE);
        await world.run();
        const failing: Declaration = { ...BEFORE, 'service:p/db': { value: '2', fails: 'ApplyFailed' } };
        world.commit('after', { host: { rollback: 'off' }, ...failing });
        isDue = (await disturbedRun(world, at, how)).where !== null;
        for (let i = 0; i < 3; i++) await world.run();
        const { outbox, runs } = world.deps().store;
        const told = outbox
          .peek(1_000)
          .filter(({ data }) => data.resource === 'service:p/db' && data.result === 'failed');
        expect(told, `${how} at point ${at}`).toHaveLength(1);
        const recorded = runs.actionsOf('service:p/db', 100).filter(({ action }) => action.result === 'failed');
        expect(
          recorded.map(({ run }) => run),
          `${how} at point ${at}`,
        ).toEqual(told.map(({ run }) => run));
      } finally {
        world.end();
      }
    }
  },
);

test('a change that was never made and is rolled back keeps the inventory correct', async () => {
  const world = createWorld();
  const file = (value: string) => ({ value, notify: ['service:p/web' as const] });
  const next = (id: string, declaration: Declaration) => {
    world.commit(id, declaration);
    return world.run({ allowPrune: true });
  };
  try {
    await next('a', { 'file:/a': file('1'), 'service:p/web': { value: '1', port: 1 } });
    // It waits for a file that cannot be written.
    world.away.add('file');
    for (const id of ['b', 'c']) await next(id, { 'file:/a': file('2'), 'service:p/web': { value: '2', port: 2 } });
    const { info } = world.deps().store.inventory.index().get('service:p/web') ?? {};
    expect(info).toEqual({ claims: ['port:tcp/2'], was: ['port:tcp/1'] });
    world.away.clear();
    await next('d', { 'file:/a': file('3'), 'service:p/web': { value: '1', port: 1 } });
    const end: Declaration = { 'file:/a': { value: '3' }, 'service:p/other': { value: '1', port: 1 } };
    await next('e', end);
    expect(await recover(world, end)).toEqual([]);
  } finally {
    world.end();
  }
});

const first = Number(process.env.FAIRLEAD_SEED ?? Date.now() % 1_000_000);
const count = Number(process.env.FAIRLEAD_HISTORIES ?? 60);

test(
  'random histories of commits, drifts, outages and crashes',
  async () => {
    console.log(`crash histories: FAIRLEAD_SEED=${first} FAIRLEAD_HISTORIES=${count}`);
    for (let seed = first; seed < first + count; seed++) {
      const { complaints } = await history(seed);
      expect(complaints, `FAIRLEAD_SEED=${seed} FAIRLEAD_HISTORIES=1`).toEqual([]);
    }
  },
  60_000 + count * 200,
);
