/** Drift that was hinted, with the real engine and store over a host in memory. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { syncOf } from '../../agent/core/plan/verdict.ts';
import type { ResourceId } from '../../agent/core/types.ts';
import { requestFor } from '../../agent/engine/run/create-run.ts';
import type { RunResult } from '../../agent/engine/run/reconcile.ts';
import type { RunRequest } from '../../agent/engine/types.ts';
import { createRunner, type Runner } from '../../agent/engine/when/runner.ts';
import { createWorld, type Declaration, type World } from './world.ts';

let world: World;
let runner: Runner;
let looked: ResourceId[];

const BASE: Declaration = {
  'file:/a': { value: '1', notify: ['service:p/web'] },
  'file:/b': { value: '1' },
  'service:p/web': { value: '1', after: ['file:/a'] },
  'job:migrate': { value: '1', after: ['file:/a'] },
};

beforeEach(async () => {
  world = createWorld();
  world.commit('one', BASE);
  begin();
  expect((await full()).run.sync).toBe('synced');
});
afterEach(() => world.end());

/** A new process. */
function begin(): void {
  world.crash();
  looked = [];
  for (const provider of world.deps().providers.values()) {
    const observe = provider.observe.bind(provider);
    provider.observe = (ids, ...rest) => {
      looked.push(...ids);
      return observe(ids, ...rest);
    };
  }
  runner = createRunner(world.deps());
}

const request = (more: Partial<RunRequest>): RunRequest => ({
  ...requestFor(new AbortController().signal),
  ...more,
});
const full = () => runner.run(request({}));
const hint = (...ids: ResourceId[]): Promise<RunResult> => {
  looked = [];
  return runner.run(request({ trigger: 'drift', hinted: new Set(ids) }));
};
const tamper = (id: ResourceId) => {
  const thing = world.things.get(id);
  if (thing) thing.value = 'theirs';
};
const value = (id: ResourceId) => world.things.get(id)?.value;
const runs = () => world.deps().store.runs.list({ limit: 100 });
const events = () => world.deps().store.outbox.peek(1_000);

test('only hinted resources, and those related to them, are observed and repaired, with and without git', async () => {
  world.gitAway = true;
  tamper('file:/b');
  tamper('file:/a');
  const starts = world.things.get('service:p/web')?.starts ?? 0;
  const { run, outcome } = await hint('file:/b');
  expect([run.trigger, run.changed, run.repaired, run.sync]).toEqual(['drift', 1, 1, 'synced']);
  expect(new Set(looked)).toEqual(new Set(['file:/b']));
  expect([value('file:/a'), value('file:/b')]).toEqual(['theirs', '1']);
  expect(outcome.resources).toHaveLength(4);

  await hint('file:/a');
  expect(new Set(looked)).toEqual(new Set(['file:/a', 'service:p/web']));
  expect(world.things.get('service:p/web')?.starts).toBe(starts + 1);
  expect(world.ran).toEqual(['job:migrate']);
});

test('each repair is one record and one event, with the difference and the result', async () => {
  const before = events().length;
  tamper('file:/b');
  const { run } = await hint('file:/b');
  expect(world.deps().store.runs.get(run.id)?.actions).toMatchObject([
    { id: 'file:/b', drift: true, result: 'done', why: [{ field: 'value', from: 'theirs', to: '1' }] },
  ]);
  expect(
    events()
      .slice(before)
      .map((e) => [e.type, e.data.resource]),
  ).toEqual([
    ['repair', 'file:/b'],
    ['run', undefined],
  ]);
});

test('an observation without findings is not recorded', async () => {
  const [before, told] = [runs(), events().length];
  const { run, part } = await hint('file:/a', 'file:/b', 'service:p/web');
  expect(part).toMatchObject({ recorded: false, news: false });
  expect(run.id).toBe(before[0]?.id);
  expect([runs(), events().length]).toEqual([before, told]);
});

test('an unwell resource is reported, and the results of all others stay', async () => {
  const sick = world.deps().providers.get('service');
  if (sick) sick.health = () => ({ state: 'bad', message: 'is sick' });
  const { outcome, part } = await hint('service:p/web');
  expect(part).toMatchObject({ recorded: false, news: true });
  expect(outcome.problems).toMatchObject([{ id: 'service:p/web', reason: 'Unhealthy' }]);
  expect(outcome.resources.map((r) => r.health).sort()).toEqual(['degraded', 'healthy', 'healthy', 'healthy']);
});

describe('differences that are no drift are left to a full run', () => {
  test('such as a new commit that was not seen yet', async () => {
    world.commit('two', { ...BASE, 'file:/b': { value: '2' } });
    tamper('file:/b');
    await hint('file:/b');
    expect(value('file:/b')).toBe('1');
  });

  test('such as a declaration that could never be applied', async () => {
    world.commit('two', { ...BASE, 'file:/c': { value: '1', fails: 'EngineUnreachable' } });
    await full();
    const before = runs().length;
    await hint('file:/c');
    expect(runs()).toHaveLength(before);
  });

  test('a commit on trial is not accepted yet, although each of its resources is as declared', async () => {
    world.commit('two', { ...BASE, 'service:p/web': { value: '2', health: 'wait', after: ['file:/a'] } });
    await runner.run(request({ superseded: () => true }));
    const { outcome } = await hint('service:p/web');
    expect(outcome.resources.map((r) => r.sync)).toEqual(['synced', 'synced', 'synced', 'synced']);
    expect(syncOf(outcome.resources, outcome.hostStates)).toBe('progressing');
  });

  test('a resource that an outage kept from being applied stays failed, for the same reason', async () => {
    world.commit('two', { ...BASE, 'service:p/web': { value: '2', fails: 'DiskFull', after: ['file:/a'] } });
    expect((await full()).run.sync).toBe('failed');
    const { outcome } = await hint('service:p/web');
    expect(syncOf(outcome.resources, outcome.hostStates)).toBe('failed');
    expect(outcome).toMatchObject({ reason: 'DiskFull', problems: [{ id: 'service:p/web', reason: 'DiskFull' }] });
    world.commit('two', { ...BASE, 'service:p/web': { value: '2', after: ['file:/a'] } });
    expect((await full()).run.sync).toBe('synced');
  });

  test('such as a change that is not proven yet: whether it becomes well is a verdict on its commit', async () => {
    world.commit('two', { ...BASE, 'service:p/web': { value: '2', health: 'wait', after: ['file:/a'] } });
    let during: RunResult | null = null;
    await runner.run(
      request({
        superseded: () => during !== null,
        async yielding(wait) {
          if (world.deps().store.commits.get().trial === 'two') {
            tamper('service:p/web');
            tamper('file:/b');
            during ??= await hint('service:p/web', 'file:/b');
          }
          return wait;
        },
      }),
    );
    expect([value('service:p/web'), value('file:/b')]).toEqual(['theirs', '1']);
  });
});

describe('a full run observes the host while it waits for the server', () => {
  const names = (ids: readonly ResourceId[]) => [...ids].sort();

  test('once, if there is nothing new', async () => {
    looked = [];
    let before: readonly ResourceId[] = [];
    await runner.run(
      request({
        async yielding(wait) {
          before = [...looked];
          return wait;
        },
      }),
    );
    expect(names(before)).toEqual(['file:/a', 'file:/b', 'service:p/web']);
    expect(names(looked)).toEqual(names(Object.keys(BASE) as ResourceId[]));
  });

  test('again, if a repair was in progress meanwhile', async () => {
    await runner.run(
      request({
        async yielding(wait) {
          tamper('file:/b');
          await hint('file:/b');
          tamper('file:/a');
          return wait;
        },
      }),
    );
    expect([value('file:/a'), value('file:/b')]).toEqual(['1', '1']);
  });

  test('again, if the answer took long', async () => {
    await runner.run(
      request({
        async yielding(wait) {
          tamper('file:/a');
          world.time += 2_000;
          return wait;
        },
      }),
    );
    expect(value('file:/a')).toBe('1');
  });

  test('again, for another commit', async () => {
    world.commit('two', { ...BASE, 'file:/b': { value: '2' } });
    expect((await full()).run).toMatchObject({ sync: 'synced', changed: 1 });
  });
});

describe('gates', () => {
  test('a pause and observe mode stop repairs; waiting work is reported once', async () => {
    world.deps().store.commits.set({ pause: { until: null, reason: 'hands off', at: '' } });
    tamper('file:/b');
    const { outcome, run } = await hint('file:/b');
    expect([run.sync, outcome.reason, value('file:/b')]).toEqual(['held', 'Paused', 'theirs']);
    const told = events().length;
    await hint('file:/b');
    expect(events()).toHaveLength(told);
    world.deps().store.commits.set({ pause: null });
    await hint('file:/b');
    expect(value('file:/b')).toBe('1');

    world.commit('looking', { ...BASE, host: { mode: 'observe' } });
    await full();
    tamper('file:/b');
    await full();
    await hint('file:/b');
    expect(value('file:/b')).toBe('theirs');
  });
});

test('a failed repair is a problem of that resource alone, and ends with the next success', async () => {
  const files = world.deps().providers.get('file');
  const apply = files?.apply;
  if (!files || !apply) throw new Error('no provider');
  files.apply = async () => {
    throw new Error('the disk is full');
  };
  tamper('file:/b');
  const { run, outcome } = await hint('file:/b');
  expect([run.sync, run.failed]).toEqual(['failed', 1]);
  expect(outcome.problems).toMatchObject([{ id: 'file:/b', message: 'the disk is full' }]);
  files.apply = apply;
  expect((await hint('file:/b')).outcome.problems).toEqual([]);
});

test('a resource that fails after it was found in progress is retried, as one repair', async () => {
  const files = world.deps().providers.get('file');
  const apply = files?.apply.bind(files);
  if (!files || !apply) throw new Error('no provider');
  let tries = 0;
  files.apply = async (work, signal) => {
    if (++tries > 1) return apply(work, signal);
    world.things.delete('file:/b');
    throw new Error('it is being removed');
  };
  tamper('file:/b');
  const before = events().length;
  const { run } = await hint('file:/b');
  expect([run.changed, run.failed, value('file:/b')]).toEqual([1, 0, '1']);
  expect(
    events()
      .slice(before)
      .filter((e) => e.type === 'repair' || e.type === 'drift'),
  ).toHaveLength(1);
});

test('before the first full run of a process a hint requests a full run', async () => {
  begin();
  tamper('file:/b');
  const { part } = await hint('file:/b');
  expect([part, value('file:/b')]).toEqual([undefined, '1']);
});
