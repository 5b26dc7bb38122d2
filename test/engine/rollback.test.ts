/** Commits that do not settle, gates, pins and outages, with the real engine and store over a host in memory. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { healthOf } from '../../agent/core/plan/verdict.ts';
import type { Outcome, RunRequest } from '../../agent/engine/types.ts';
import { createWorld, type Declaration, type World } from './world.ts';

let world: World;
beforeEach(() => {
  world = createWorld();
});
afterEach(() => world.end());

type Ran = Outcome & { sync: string };
const run = async (request: Parameters<World['run']>[0] = {}) => (await world.run(request)) as Ran;
const value = (id: Parameters<World['things']['get']>[0]) => world.things.get(id)?.value;
const GOOD: Declaration = { 'file:/a': { value: '1' }, 'service:p/web': { value: '1' } };
const BAD: Declaration = { 'file:/a': { value: '2' }, 'service:p/web': { value: '2', health: 'bad' } };

describe('a commit that does not settle', () => {
  beforeEach(async () => {
    world.commit('good', GOOD);
    expect((await run()).sync).toBe('synced');
    world.commit('bad', BAD);
  });

  test('is recorded as bad and rolled back like any other change, and the faulty resource is named', async () => {
    const outcome = await run();
    expect(outcome).toMatchObject({
      sync: 'rolled-back',
      reason: 'Unhealthy',
      rollback: { from: 'bad', to: 'good', well: true },
    });
    expect(outcome.message).toMatch(/service:p\/web: is bad.*rolled back to good/);
    expect([value('file:/a'), value('service:p/web')]).toEqual(['1', '1']);
    expect(world.deps().store.commits.listBad(5)).toMatchObject([{ commit: 'bad', culprit: { id: 'service:p/web' } }]);
    expect(world.deps().store.commits.get()).toMatchObject({ accepted: 'good', lastGood: 'good', trial: null });
  });

  test('has all of its failures reported, in the run that rolls it back and in later runs on the good one', async () => {
    world.commit('worse', {
      'file:/a': { value: '3' },
      'service:p/web': { value: '3', health: 'bad' },
      'service:p/db': { value: '3', health: 'bad' },
    });
    const named = (outcome: Outcome) => outcome.problems.map(({ id }) => id).sort();
    const first = await run();
    expect(first.sync).toBe('rolled-back');
    expect(named(first)).toEqual(['service:p/db', 'service:p/web']);
    const after = await run();
    expect(after.sync).toBe('rolled-back');
    expect(named(after)).toEqual(['service:p/db', 'service:p/web']);
    expect(Object.keys(after.problems[0] ?? {})).not.toContain('others');
  });

  test('is not tried again, not even under another id; drift is repaired meanwhile; other content is tried', async () => {
    await run();
    const starts = world.things.get('service:p/web')?.starts;
    world.things.delete('file:/a');
    const again = await run();
    expect([again.sync, value('file:/a')]).toEqual(['rolled-back', '1']);
    world.commit('bad-again', BAD);
    expect(await run()).toMatchObject({ sync: 'rolled-back', message: expect.stringMatching(/same content as bad/) });
    expect(world.things.get('service:p/web')?.starts).toBe(starts);
    world.commit('better', { 'file:/a': { value: '3' }, 'service:p/web': { value: '3' } });
    expect((await run()).sync).toBe('synced');
    expect(value('service:p/web')).toBe('3');
  });

  test('is not tried again because of a pin to it', async () => {
    await run();
    world.deps().store.commits.set({ pin: { commit: 'bad', at: '' } });
    const starts = world.things.get('service:p/web')?.starts;
    for (let i = 0; i < 3; i++) expect((await run()).sync).toBe('rolled-back');
    expect(world.things.get('service:p/web')?.starts).toBe(starts);
  });

  test('is tried again with --force', async () => {
    await run();
    const forced = await run({ force: true });
    expect(forced).toMatchObject({ sync: 'rolled-back', rollback: { from: 'bad' } });
    expect(value('service:p/web')).toBe('1');
  });

  test('leaves nothing that it created, even beyond the prune limit', async () => {
    world.commit('grown', {
      ...BAD,
      'file:/b': { value: '1' },
      'file:/c': { value: '1' },
      'file:/d': { value: '1' },
      'file:/e': { value: '1' },
    });
    expect((await run()).sync).toBe('rolled-back');
    await run();
    expect([...world.things.keys()].sort()).toEqual(['file:/a', 'service:p/web']);
  });

  test('stays if the host has rollback: off, and is repaired', async () => {
    world.commit('off', { host: { rollback: 'off' }, ...BAD });
    expect(await run()).toMatchObject({ sync: 'failed', reason: 'Unhealthy' });
    expect(value('service:p/web')).toBe('2');
    expect(world.deps().store.commits.get()).toMatchObject({ accepted: 'off', lastGood: 'good' });
  });

  test('and whose rollback fails as well stops there and reports that', async () => {
    world.commit('bad2', { 'file:/a': { value: '2', fails: 'ApplyFailed' }, 'service:p/web': { value: '1' } });
    world.deps().snapshots.load = async () => null;
    // The repository delivers no commits once the host rolls back.
    const emit: RunRequest['emit'] = (line) => {
      world.checkoutAway ||= line.type === 'phase' && line.phase === 'rollback';
    };
    expect(await run({ emit })).toMatchObject({
      sync: 'failed',
      reason: 'RollbackFailed',
      message: expect.stringMatching(/nothing more is undone/),
    });
  });

  test('whose rollback meets an outage continues it afterwards', async () => {
    const emit: RunRequest['emit'] = (line) => {
      if (line.type === 'phase' && line.phase === 'rollback') world.away.add('service');
    };
    const outcome = await run({ emit });
    expect(outcome).toMatchObject({ sync: 'failed', reason: 'Unhealthy', rollback: { well: false } });
    expect(outcome.message).toMatch(/is bad\); this host is being rolled back to good, and the next run continues/);
    world.away.clear();
    expect((await run()).sync).toBe('rolled-back');
    expect(value('service:p/web')).toBe('1');
  });

  test('does not run jobs during its rollback unless they ask for it', async () => {
    world.commit('jobs', { ...GOOD, 'job:skip': { value: '1' }, 'job:run': { value: '1', onRollback: 'run' } });
    await run();
    expect(world.ran.sort()).toEqual(['job:run', 'job:skip']);
    world.ran = [];
    world.commit('jobs-bad', { ...BAD, 'job:skip': { value: '2' }, 'job:run': { value: '2', onRollback: 'run' } });
    expect((await run()).sync).toBe('rolled-back');
    expect(world.ran.filter((id) => id === 'job:skip')).toHaveLength(1);
    expect(world.ran.filter((id) => id === 'job:run')).toHaveLength(2);
  });
});

test('a first commit has no predecessor: it stays failed, and is not forgotten by the next run', async () => {
  world.commit('first', BAD);
  expect(await run()).toMatchObject({ sync: 'failed', reason: 'Unhealthy' });
  const again = await run();
  expect([again.sync, again.verdict]).toEqual(['failed', 'unwell']);
  expect(again.resources.find((r) => r.id === 'service:p/web')?.health).toBe('degraded');
  expect(world.deps().store.commits.get().lastGood).toBeNull();
});

test('an unproven change is still unproven in the next run: nothing is pruned, nothing becomes good', async () => {
  world.commit('one', { ...GOOD, 'file:/old': { value: '1' }, host: { rollback: 'off' } });
  await run();
  world.commit('two', { host: { rollback: 'off' }, ...BAD });
  for (let i = 0; i < 3; i++) await run();
  expect(value('file:/old')).toBe('1');
  expect(world.deps().store.commits.get().lastGood).toBe('one');
});

describe('an outage is no fault of the commit', () => {
  test.each(['ImagePullFailed', 'DiskFull'] as const)(
    '%s while it is applied: it is retried until it works',
    async (code) => {
      world.commit('good', GOOD);
      await run();
      world.commit('new', { 'file:/a': { value: '2' }, 'service:p/web': { value: '2', fails: code } });
      expect((await run()).sync).toBe('failed');
      expect(world.deps().store.commits.listBad(5)).toEqual([]);
      expect(world.deps().store.commits.get()).toMatchObject({ accepted: 'good', trial: 'new' });
      world.commit('new', { 'file:/a': { value: '2' }, 'service:p/web': { value: '2' } });
      expect((await run()).sync).toBe('synced');
    },
  );

  test('the Docker engine is away: its resources wait and still need their restart, and the commit continues although git is away as well', async () => {
    const withNotify = (v: string): Declaration => ({
      'file:/a': { value: v, notify: ['service:p/web'] },
      'service:p/web': { value: '1' },
    });
    world.commit('good', withNotify('1'));
    await run();
    world.away.add('service');
    world.commit('new', withNotify('2'));
    expect(await run()).toMatchObject({ sync: 'failed' });
    expect(value('file:/a')).toBe('2');
    world.gitAway = true;
    world.away.clear();
    await run();
    expect(world.things.get('service:p/web')?.read['file:/a']).toBe('2');
    expect(world.deps().store.commits.get()).toMatchObject({ accepted: 'new', lastGood: 'new' });
  });

  test('a Docker engine that is away hides no removals: neither from the limit nor from the status', async () => {
    world.commit('good', { ...GOOD, 'service:p/db': { value: '1' } });
    await run();
    world.away.add('service');
    world.commit('less', { 'file:/a': { value: '1' } });
    expect(await run()).toMatchObject({ sync: 'failed', reason: 'EngineUnreachable' });
    world.away.clear();
    expect((await run()).sync).toBe('synced');
    expect([...world.things.keys()]).toEqual(['file:/a']);
  });
});

describe('notifies', () => {
  const declared = (file: string, web: Partial<Declaration['service:p/web']> = {}): Declaration => ({
    'file:/a': { value: file, notify: ['service:p/web'] },
    'service:p/web': { value: '1', ...web },
  });

  test('a target that fails in this run still needs the restart', async () => {
    world.commit('one', declared('1'));
    await run();
    world.commit('two', declared('2', { value: '2', unprepared: 'ImagePullFailed' }));
    await run();
    expect(value('file:/a')).toBe('2');
    world.commit('three', declared('2'));
    await run();
    expect(world.things.get('service:p/web')?.read['file:/a']).toBe('2');
  });

  test('a recreated target needs no second start', async () => {
    world.commit('one', declared('1'));
    await run();
    world.commit('two', declared('2', { value: '2' }));
    await run();
    expect(world.things.get('service:p/web')).toMatchObject({ starts: 2, read: { 'file:/a': '2' } });
    await run();
    expect(world.things.get('service:p/web')?.starts).toBe(2);
  });
});

describe('claims', () => {
  test('the owner of a port is removed only when its successor can be created', async () => {
    world.commit('one', { 'file:/a': { value: '1' }, 'service:p/web': { value: '1', port: 80 } });
    await run();
    world.commit('renamed', {
      'file:/a': { value: '1' },
      'service:p/web2': { value: '1', port: 80, unprepared: 'ImagePullFailed' },
    });
    await run();
    expect(world.things.has('service:p/web')).toBe(true);
    world.commit('there', { 'file:/a': { value: '1' }, 'service:p/web2': { value: '1', port: 80 } });
    expect((await run()).sync).toBe('synced');
    expect([...world.things.keys()]).toEqual(['file:/a', 'service:p/web2']);
  });

  test('two services swap their ports', async () => {
    world.commit('one', { 'service:p/a': { value: '1', port: 1 }, 'service:p/b': { value: '1', port: 2 } });
    await run();
    world.commit('two', { 'service:p/a': { value: '1', port: 2 }, 'service:p/b': { value: '1', port: 1 } });
    expect((await run()).sync).toBe('synced');
    expect([world.things.get('service:p/a')?.port, world.things.get('service:p/b')?.port]).toEqual([2, 1]);
  });
});

describe('gates', () => {
  const FIVE: Declaration = Object.fromEntries(['a', 'b', 'c', 'd', 'e'].map((n) => [`file:/${n}`, { value: '1' }]));
  beforeEach(async () => {
    world.commit('one', FIVE);
    await run();
  });

  test('a commit over the prune limit waits, while the accepted one is repaired; once it started, the limit is not checked again', async () => {
    world.commit('less', { 'file:/a': { value: '2' } });
    world.things.delete('file:/b');
    expect(await run()).toMatchObject({ sync: 'held', reason: 'PruneLimit', gate: { kind: 'prune' } });
    expect([value('file:/b'), value('file:/a')]).toEqual(['1', '1']);
    world.commit('failing', { 'file:/a': { value: '2', fails: 'DiskFull' } });
    expect((await run({ allowPrune: true })).sync).toBe('failed');
    world.commit('failing', { 'file:/a': { value: '2' } });
    expect((await run()).sync).toBe('synced');
    expect([...world.things.keys()]).toEqual(['file:/a']);
  });

  test('a lost directory removes nothing, and the accepted commit is repaired', async () => {
    world.commit('lost', null);
    world.things.delete('file:/b');
    expect((await run()).sync).toBe('unassigned');
    expect(world.things.size).toBe(5);
  });

  test('observe and pause change nothing, not even drift; a pause ends by itself', async () => {
    world.things.delete('file:/b');
    world.deps().store.commits.set({
      pause: { until: new Date(world.time + 60_000).toISOString(), reason: 'migration', at: '' },
    });
    expect(await run()).toMatchObject({
      sync: 'held',
      reason: 'Paused',
      gate: { kind: 'pause', reason: expect.stringContaining('migration') },
    });
    expect(world.things.has('file:/b')).toBe(false);
    world.time += 61_000;
    expect((await run()).sync).toBe('synced');
    world.commit('watch', { ...FIVE, host: { mode: 'observe' } });
    world.things.delete('file:/b');
    const seen = await run();
    expect([seen.sync, seen.resources.find((r) => r.id === 'file:/b')?.health]).toEqual(['held', 'degraded']);
    expect(world.things.has('file:/b')).toBe(false);
  });

  test('a pin keeps the host on its commit until it is removed', async () => {
    world.commit('two', { ...FIVE, 'file:/a': { value: '2' } });
    await run();
    world.deps().store.commits.set({ pin: { commit: 'one', at: '' } });
    expect(await run()).toMatchObject({
      sync: 'held',
      reason: 'Pinned',
      gate: { kind: 'pin' },
      commit: { commit: 'two' },
    });
    expect(value('file:/a')).toBe('1');
    world.things.delete('file:/b');
    await run();
    expect(value('file:/b')).toBe('1');
    world.deps().store.commits.set({ pin: null });
    expect((await run()).sync).toBe('synced');
    expect(value('file:/a')).toBe('2');
  });

  test('a window holds commits and reports its next time; repairs continue; harmless commits may pass', async () => {
    const window = { schedule: '0 22 * * *', duration: '2h', timezone: 'Europe/Berlin' };
    world.commit('two', { ...FIVE, 'file:/a': { value: '2' }, host: { window } });
    world.things.delete('file:/b');
    expect(await run()).toMatchObject({
      sync: 'held',
      reason: 'WindowClosed',
      gate: { kind: 'window', until: '2026-03-01T21:00:00.000Z' },
    });
    expect([value('file:/a'), value('file:/b')]).toEqual(['1', '1']);
    world.time = Date.parse('2026-03-01T21:00:01Z');
    expect((await run()).sync).toBe('synced');
    expect(value('file:/a')).toBe('2');
    world.time = Date.parse('2026-03-02T12:00:00Z');
    world.commit('more', {
      ...FIVE,
      'file:/a': { value: '2' },
      'file:/new': { value: '1' },
      host: { window: { ...window, harmless: 'allow' } },
    });
    expect((await run()).sync).toBe('synced');
    expect(value('file:/new')).toBe('1');
  });

  test('on days of a clock change the window opens at its wall-clock hour', async () => {
    // Berlin changes from UTC+1 to UTC+2 at 2026-03-29 01:00 UTC.
    const window = { schedule: '0 4 * * *', duration: '1h', timezone: 'Europe/Berlin' };
    world.commit('two', { ...FIVE, 'file:/a': { value: '2' }, host: { window } });
    world.time = Date.parse('2026-03-29T01:30:00Z');
    expect((await run()).gate?.until).toBe('2026-03-29T02:00:00.000Z');
    world.time = Date.parse('2026-03-29T02:30:00Z');
    expect((await run()).sync).toBe('synced');
  });

  test('a waiting commit does not affect the health of the host', async () => {
    world.commit('more', { ...FIVE, 'file:/new': { value: '1' }, 'service:p/new': { value: '1' } });
    world.deps().store.commits.set({ pause: { until: null, reason: '', at: '2026-03-01T00:00:00.000Z' } });
    const outcome = await run();
    expect([outcome.sync, healthOf(outcome.resources)]).toEqual(['held', 'healthy']);
    world.things.delete('file:/b');
    expect(healthOf((await run()).resources)).toBe('degraded');
  });

  test('a held commit is reported once, not at every run', async () => {
    world.commit('less', { 'file:/a': { value: '2' } });
    await run();
    const seq = world.deps().store.outbox.lastSeq();
    for (let i = 0; i < 5; i++) await run();
    expect(world.deps().store.outbox.lastSeq()).toBe(seq);
  });
});

describe('connectivity', () => {
  const rules = (value: string, more: Declaration = {}): Declaration => ({
    'file:/a': { value: '1' },
    'file:/firewall': { value },
    ...more,
  });
  beforeEach(async () => {
    world.commit('good', rules('open'));
    await run();
  });

  test("a commit that cuts the host's connection is rolled back by the host itself", async () => {
    world.commit('cut', rules('shut'));
    const outcome = await run();
    expect(outcome).toMatchObject({
      sync: 'rolled-back',
      reason: 'WayHomeShut',
      rollback: { from: 'cut', well: true },
    });
    expect(outcome.message).toMatch(
      /repository: reachable before this commit, and not after it: this host lets nothing out/,
    );
    expect(value('file:/firewall')).toBe('open');
    world.commit('cut-again', rules('shut'));
    expect((await run()).sync).toBe('rolled-back');
    expect(value('file:/firewall')).toBe('open');
  });

  test('a commit that cuts it by a removal is rolled back as well', async () => {
    world.commit('opened', rules('open', { 'file:/route': { value: '1' } }));
    await run();
    world.onRemove = (id) => {
      if (id === 'file:/route') world.farEnd = 'silent';
    };
    world.onApply = () => {
      world.farEnd = 'answers';
    };
    world.commit('gone', rules('open'));
    expect(await run()).toMatchObject({ sync: 'rolled-back', reason: 'WayHomeShut' });
    expect(value('file:/route')).toBe('1');
  });

  test('a server that responds with an error is not blamed on the commit', async () => {
    world.commit('new', rules('open', { 'file:/b': { value: '1' } }));
    world.onApply = () => {
      world.farEnd = 'refuses';
    };
    expect((await run()).sync).toBe('synced');
    expect(value('file:/b')).toBe('1');
  });

  test('an outage that outlasts the rollback was not caused by the commit: it is applied again, and not bad', async () => {
    world.commit('new', rules('open', { 'file:/b': { value: '1' } }));
    world.onApply = () => {
      world.farEnd = 'silent';
    };
    const outcome = await run();
    expect(outcome.problems[0]).toMatchObject({
      id: 'repository',
      message: expect.stringMatching(/the commit was not the cause/),
    });
    expect(value('file:/b')).toBe('1');
    expect(world.deps().store.commits.listBad(5)).toEqual([]);
    expect(world.deps().store.commits.get()).toMatchObject({ accepted: 'new', lastGood: 'new' });
  });

  describe('a repository that is unreachable until the commit is rolled back', () => {
    const MINUTE = 60_000;
    const slow = rules('open', {
      'file:/b': { value: '1', notify: ['job:migrate'] },
      'job:migrate': { value: '1' },
    });
    const isBad = () => world.deps().store.commits.listBad(5).length;
    const isApplied = () => value('file:/b') === '1';
    beforeEach(() => {
      // Simulates a network that lets the probe before the commit pass, and is then silent until the commit is gone.
      world.onApply = () => {
        world.farEnd = 'silent';
      };
      world.onRemove = () => {
        world.farEnd = 'answers';
      };
      world.commit('slow', slow);
    });

    test('causes a rollback, but no bad commit: it is retried after ten minutes, an hour and a day', async () => {
      for (const pause of [10 * MINUTE, 60 * MINUTE, 24 * 60 * MINUTE]) {
        expect(await run()).toMatchObject({ sync: 'rolled-back', reason: 'WayHomeShut' });
        expect([isBad(), isApplied()]).toEqual([0, false]);
        world.time += pause - MINUTE;
        const waiting = await run();
        expect([waiting.sync, isApplied()]).toEqual(['rolled-back', false]);
        expect(waiting.message).toMatch(/tries it again at 2026-/);
        world.time += MINUTE;
      }
      await run();
      expect(isBad()).toBe(1);
    });

    test('delays the commit only until it is reachable again, and no job runs twice', async () => {
      await run();
      expect(world.ran).toEqual(['job:migrate']);
      world.crash();
      world.onApply = () => undefined;
      world.time += 10 * MINUTE;
      expect((await run()).sync).toBe('synced');
      expect((await run()).sync).toBe('synced');
      expect([isBad(), isApplied()]).toEqual([0, true]);
      expect(world.ran).toEqual(['job:migrate']);
      expect(world.deps().store.commits.get()).toMatchObject({ accepted: 'slow', postponed: null });
    });

    test('does not delay other content, and a person can retry at once', async () => {
      await run();
      world.onApply = () => undefined;
      expect((await run({ force: true })).sync).toBe('synced');
      world.commit('other', rules('open', { 'file:/c': { value: '1' } }));
      expect((await run()).sync).toBe('synced');
    });
  });

  test('a broker that is only silent does not prevent acceptance, and is reported', async () => {
    world.onApply = () => {
      world.broker = 'silent';
    };
    world.commit('new', rules('open', { 'file:/b': { value: '1' } }));
    const outcome = await run();
    expect(outcome.problems[0]).toMatchObject({ id: 'broker', reason: 'BrokerSilent' });
    expect(world.deps().store.commits.get()).toMatchObject({ accepted: 'new', lastGood: 'new' });
    expect(value('file:/b')).toBe('1');
  });

  test('a server that was unreachable before the commit may stay so', async () => {
    world.farEnd = 'silent';
    world.commit('new', rules('open', { 'file:/b': { value: '1' } }));
    expect((await run()).sync).toBe('synced');
  });
});

test('decommission removes everything that is managed, and stays idle', async () => {
  world.commit('one', GOOD);
  await run();
  world.commit('gone', { ...GOOD, host: { decommission: true } });
  expect((await run()).sync).toBe('synced');
  expect(world.things.size).toBe(0);
  expect((await run()).actions).toEqual([]);
});

test('while a new repository cannot be read, the kept commit is not reported as read or judged from it', async () => {
  world.commit('c1', { 'file:/a': { value: '1' } });
  await world.run();
  world.crash();
  world.repository = 'moved';
  world.gitAway = true;
  world.things.delete('file:/a');
  await world.run();
  expect(world.things.get('file:/a')?.value).toBe('1');
  expect(world.deps().store.commits.get()).toMatchObject({ acceptedFrom: 'fake#main', acceptedUnder: 'fake' });
  world.gitAway = false;
  await world.run();
  expect(world.deps().store.commits.get()).toMatchObject({ acceptedFrom: 'moved#main', acceptedUnder: 'moved' });
});
