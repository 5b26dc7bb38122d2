/** A commit that requests another version of the agent: what comes first, what waits, and what continues. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { AgentUpgrade, UpgradeOrder, UpgradeResult } from '../../agent/core/version/agent-upgrade.ts';
import { readWantedAgent } from '../../agent/core/version/agent-wanted.ts';
import { requestFor } from '../../agent/engine/run/create-run.ts';
import { preview } from '../../agent/engine/run/preview.ts';
import { AgentError } from '../../agent/errors.ts';
import { createWorld, type World } from './world.ts';

const SUM = 'a'.repeat(64);
const wants = (version: string) => ({ version, source: `https://get.example.com/${version}.deb`, sha256: SUM });
const FAILED: UpgradeResult = {
  ...{ version: '0.2.0', sha256: SUM, from: '0.1.0', verdict: 'failed', cause: 'silent' },
  ...{ message: 'the new agent does not answer', at: '2026-03-01T12:10:00.000Z' },
};

let world: World;
let orders: string[];
let installed: Awaited<ReturnType<AgentUpgrade['format']>>;
let pending: UpgradeOrder | null;
let bad: UpgradeResult | null;
let result: UpgradeResult | null;
let outage: AgentError | null;

beforeEach(async () => {
  world = createWorld();
  orders = [];
  installed = 'deb';
  pending = null;
  bad = null;
  result = null;
  outage = null;
  world.upgrade = {
    version: '0.1.0',
    wanted: ({ files, hostPath }) => readWantedAgent(files, hostPath).wanted,
    format: async () => installed,
    pending: () => pending,
    digest: () => SUM,
    tried: () => bad,
    forget: () => {
      bad = null;
    },
    async stage(wanted) {
      if (outage !== null) throw outage;
      return { wanted, sha256: SUM };
    },
    order: ({ wanted }) => void orders.push(wanted.version),
    begin: async () => undefined,
    result: () => result,
  };
  world.commit('one', { 'file:/a': { value: '1' } });
  await world.run();
});
afterEach(() => world.end());

const value = () => world.things.get('file:/a')?.value;
const two = (host: Record<string, unknown> = {}) =>
  world.commit('two', { host: { agent: wants('0.2.0'), ...host }, 'file:/a': { value: '2' } });
const schedule = { trigger: 'schedule' } as const;

test('the version is ordered first, and the commit waits for it', async () => {
  two();
  const outcome = await world.run();
  expect(orders).toEqual(['0.2.0']);
  expect(value()).toBe('1');
  expect(outcome).toMatchObject({
    sync: 'held',
    reason: 'AgentUpgrading',
    message: 'fairlead 0.2.0 takes the place of 0.1.0, and applies commit two',
  });
});

test('a commit that this version cannot read can still request another version', async () => {
  two();
  world.unreadable.add('two');
  expect(await world.run()).toMatchObject({ sync: 'held', reason: 'AgentUpgrading', problems: [] });
  expect(orders).toEqual(['0.2.0']);
});

test('the accepted commit is repaired until the other version runs', async () => {
  two();
  const thing = world.things.get('file:/a');
  if (thing) thing.value = 'drift';
  await world.run();
  expect(value()).toBe('1');
});

test('a version that already runs needs no order', async () => {
  world.commit('two', { host: { agent: wants('0.1.0') }, 'file:/a': { value: '2' } });
  expect(await world.run()).toMatchObject({ sync: 'synced' });
  expect(orders).toEqual([]);
});

test('a version on trial is judged before another one is ordered, and applies commits', async () => {
  two();
  pending = { version: '0.1.0', from: '0.0.9', since: '', until: '' };
  expect(await world.run()).toMatchObject({ sync: 'synced' });
  expect({ value: value(), orders }).toEqual({ value: '2', orders: [] });
});

describe('a version that failed here', () => {
  beforeEach(() => {
    two();
    bad = FAILED;
  });

  test('is not tried again, and the running version applies the commit', async () => {
    const outcome = await world.run(schedule);
    expect(outcome).toMatchObject({ sync: 'failed', reason: 'AgentUpgradeFailed' });
    expect(outcome.problems).toMatchObject([{ id: 'agent:0.2.0', file: 'hosts/a/host.yaml', line: 1 }]);
    expect({ value: value(), orders }).toEqual({ value: '2', orders: [] });
    expect(world.deps().store.commits.get().accepted).toBe('two');
  });

  test('is tried again if a person requests it', async () => {
    await world.run({ force: true });
    expect(orders).toEqual(['0.2.0']);
  });
});

describe('the result of an order', () => {
  const actions = () => world.deps().store.runs.list({ limit: 1 })[0];

  test('is recorded once in history', async () => {
    result = FAILED;
    expect((await world.run()).actions).toMatchObject([
      { id: 'agent:0.2.0', op: 'update', result: 'failed', error: { message: 'the new agent does not answer' } },
    ]);
    expect(actions()).toMatchObject({ failed: 1 });
    expect((await world.run()).actions).toEqual([]);
  });

  test('is no verdict if the running version cannot reach the repository either', async () => {
    two();
    bad = { ...FAILED, cause: 'unreachable' };
    result = bad;
    world.gitAway = true;
    await world.run(schedule);
    world.gitAway = false;
    await world.run(schedule);
    expect(orders).toEqual(['0.2.0']);
  });

  test('is a verdict if the running version can reach it', async () => {
    two();
    bad = { ...FAILED, cause: 'unreachable' };
    result = bad;
    await world.run(schedule);
    await world.run(schedule);
    expect(orders).toEqual([]);
  });
});

describe('everything that holds a commit holds the version', () => {
  const CLOSED = { window: { schedule: '0 22 * * *', duration: '2h' } };
  test.each<[string, Record<string, unknown>]>([
    ['observe mode', { mode: 'observe' }],
    ['a closed window', CLOSED],
    ['a decommission', { decommission: true }],
  ])('%s', async (_, host) => {
    two(host);
    await world.run(schedule);
    expect(orders).toEqual([]);
  });

  test('a pause', async () => {
    two();
    world.deps().store.commits.set({ pause: { until: null, reason: '', at: '2026-03-01T12:00:00.000Z' } });
    await world.run(schedule);
    expect(orders).toEqual([]);
  });

  test('an open window lets it pass', async () => {
    two(CLOSED);
    expect(await world.run(schedule)).toMatchObject({ sync: 'held', reason: 'WindowClosed' });
    world.time = Date.parse('2026-03-01T22:30:00Z');
    await world.run(schedule);
    expect(orders).toEqual(['0.2.0']);
  });

  test('a person who forces it does not wait for the window', async () => {
    two(CLOSED);
    await world.run({ force: true });
    expect(orders).toEqual(['0.2.0']);
  });
});

describe('an unavailable version', () => {
  test('does not delay the commit, and is retried after a pause', async () => {
    two();
    outage = new AgentError({ code: 'PackageUnreachable', phase: 'prepare', message: 'no route' });
    expect(await world.run(schedule)).toMatchObject({
      problems: [{ id: 'agent:0.2.0', reason: 'PackageUnreachable' }],
    });
    expect(value()).toBe('2');
    outage = null;
    await world.run({ trigger: 'manual' });
    expect(orders).toEqual(['0.2.0']);
  });

  test.each<[string, typeof installed]>([
    ['without a package', null],
    ['as an .rpm', 'rpm'],
  ])('because fairlead was installed %s, is reported', async (_, format) => {
    two();
    installed = format;
    expect(await world.run()).toMatchObject({ problems: [{ reason: 'AgentUpgradeUnfit' }] });
    expect({ value: value(), orders }).toEqual({ value: '2', orders: [] });
  });
});

test('a plan has a line for it', async () => {
  two();
  const plan = await preview(world.deps(), requestFor(new AbortController().signal).signal);
  expect(plan.actions[0]).toMatchObject({
    id: 'agent:0.2.0',
    op: 'update',
    why: [{ field: 'version', from: '0.1.0', to: '0.2.0' }],
  });
  expect(orders).toEqual([]);
});
