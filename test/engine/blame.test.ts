/**
 * Whose fault a failure is, over a host in memory: cases that people reported about tools that blame every failure on the commit.
 */
import { readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { RunResult } from '../../agent/engine/run/reconcile.ts';
import type { Program } from '../fakes/docker/programs.ts';
import { createFakeHost, type FakeHost, reconcilerOn } from '../fakes/host.ts';
import type { Reconciler } from '../reconciler.ts';

let host: FakeHost;
let engine: Reconciler;
beforeEach(() => {
  host = createFakeHost();
  engine = reconcilerOn(host, { rollback: true });
  host.engine.registry.push('app:1', { config: { Cmd: ['httpd'] } });
});
afterEach(() => {
  engine.close();
  host.end();
});

const RUNS: Program = { code: 0, says: '' };
const compose = (text: string) => ({ 'shop/compose.yaml': text });
const container = (name: string) => host.engine.containers().find((c) => c.name === name);
const bad = () => engine.store.commits.listBad(5).map((b) => b.culprit.reason);
const syncOf = ({ run }: RunResult) => ({ sync: run.sync, reason: run.reason });
const turns = ({ outcome }: RunResult) => outcome.problems.map(({ id, reason, turn }) => ({ id, reason, turn }));
const onDisk = (file: string) => readFileSync(path.join(host.root, file), 'utf8');
const GOOD = { 'a.yaml': 'files: {/etc/motd: {content: "1"}}\n' };

describe('temporary failures', () => {
  /** Crashes until this much time has passed since its first start. */
  const crashesFor = (name: string, ms: number) => {
    let first: number | null = null;
    host.engine.registry.push(name, {
      config: { Cmd: ['app'] },
      program(argv) {
        if (argv[0] !== 'app') return RUNS;
        first ??= host.clock.monotonic();
        return host.clock.monotonic() - first < ms ? { code: 1, says: 'no database', endsAfterMs: 500 } : RUNS;
      },
    });
  };

  test('an application that restarts until its database is up is waited for', async () => {
    crashesFor('shop:1', 25_000);
    await engine.apply(GOOD);
    const ran = await engine.apply({
      ...GOOD,
      ...compose('services: {app: {image: "shop:1", restart: always, depends_on: [db]}, db: {image: "app:1"}}\n'),
    });
    expect(syncOf(ran)).toEqual({ sync: 'synced', reason: '' });
    expect(bad()).toEqual([]);
    expect(ran.outcome.actions.filter((a) => a.op === 'remove')).toEqual([]);
  });

  test('an application that ran before has 90 s', async () => {
    await engine.apply(compose('services: {app: {image: "app:1", restart: always}}\n'));
    crashesFor('shop:2', 30_000);
    expect(syncOf(await engine.apply(compose('services: {app: {image: "shop:2", restart: always}}\n')))).toEqual({
      sync: 'synced',
      reason: '',
    });
    crashesFor('shop:3', 600_000);
    const ran = await engine.apply(compose('services: {app: {image: "shop:3", restart: always}}\n'));
    expect(syncOf(ran)).toEqual({ sync: 'rolled-back', reason: 'Unhealthy' });
    expect(ran.outcome.message).toMatch(/keeps restarting, last exit code 1; its last lines: no database/);
  });

  test('a container that is unhealthy for 90 s of a long first start is waited for', async () => {
    let began: number | null = null;
    host.engine.registry.push('slow:1', {
      config: { Cmd: ['app'], Healthcheck: { Test: ['CMD', 'probe'], Interval: 1e9, Timeout: 1e9, Retries: 2 } },
      program(argv) {
        if (argv[0] !== 'probe') return RUNS;
        began ??= host.clock.monotonic();
        return { ...RUNS, code: host.clock.monotonic() - began < 90_000 ? 1 : 0, endsAfterMs: 1 };
      },
    });
    await engine.apply(GOOD);
    const ran = await engine.apply({ ...GOOD, ...compose('services: {app: {image: "slow:1"}}\n') });
    expect(syncOf(ran)).toEqual({ sync: 'synced', reason: '' });
    expect(bad()).toEqual([]);
  });

  test('a service that depends on a slow database starts when the database is healthy', async () => {
    let began: number | null = null;
    host.engine.registry.push('db:1', {
      config: { Cmd: ['db'], Healthcheck: { Test: ['CMD', 'probe'], Interval: 1e9, Timeout: 1e9, Retries: 2 } },
      program(argv) {
        if (argv[0] !== 'probe') return RUNS;
        began ??= host.clock.monotonic();
        return { ...RUNS, code: host.clock.monotonic() - began < 90_000 ? 1 : 0, endsAfterMs: 1 };
      },
    });
    await engine.apply(GOOD);
    const text =
      'services: {db: {image: "db:1"}, app: {image: "app:1", depends_on: {db: {condition: service_healthy}}}}\n';
    const first = await engine.apply({ ...GOOD, ...compose(text) });
    expect(first.outcome.verdict).toBe('open');
    expect(bad()).toEqual([]);
    expect(syncOf(await engine.again())).toEqual({ sync: 'synced', reason: '' });
    expect(container('shop-app-1')?.status).toBe('running');
  });

  test('a service has the patience that the repository sets for it, beyond settle.timeout', async () => {
    await engine.apply(compose('services: {app: {image: "app:1", restart: always}}\n'));
    crashesFor('shop:2', 400_000);
    const ran = await engine.apply({
      'host.yaml': 'settle: {timeout: 20s}\n',
      ...compose('services: {app: {image: "shop:2", restart: always, x-fairlead: {patience: 10m}}}\n'),
    });
    expect(syncOf(ran)).toEqual({ sync: 'synced', reason: '' });
  });

  test('neither a restart of the agent nor another run starts the wait again', async () => {
    await engine.apply(compose('services: {app: {image: "app:1", restart: always}}\n'));
    crashesFor('shop:2', 600_000);
    const began = host.clock.monotonic();
    const files = compose('services: {app: {image: "shop:2", restart: always}}\n');
    let looks = 0;
    const open = await engine.apply(files, undefined, { superseded: () => ++looks > 20 });
    expect(open.outcome.verdict).toBe('open');
    const waited = host.clock.monotonic() - began;
    engine.restart();
    expect(syncOf(await engine.again())).toEqual({ sync: 'rolled-back', reason: 'Unhealthy' });
    expect(host.clock.monotonic() - began).toBeLessThan(waited + 130_000);
  });

  test('a permanent failure fails at once', async () => {
    await engine.apply(compose('services: {app: {image: "app:1"}}\n'));
    const began = host.clock.monotonic();
    const ran = await engine.apply(compose('services: {app: {image: "app:1", command: "false"}}\n'));
    expect(syncOf(ran)).toEqual({ sync: 'rolled-back', reason: 'Unhealthy' });
    expect(host.clock.monotonic() - began).toBeLessThan(30_000);
  });
});

describe('a precondition that this host lacks', () => {
  const WITH_NETWORK = `services: {web: {image: "app:1", networks: [web]}}\nnetworks: {web: {external: true}}\n`;

  test('fails its resource, is the host’s turn, and delays nothing else', async () => {
    await engine.apply({ ...GOOD, 'b.yaml': 'files: {/etc/old: {content: ""}}\n' });
    const ran = await engine.apply({ 'a.yaml': 'files: {/etc/motd: {content: "2"}}\n', ...compose(WITH_NETWORK) });
    expect(syncOf(ran)).toEqual({ sync: 'failed', reason: 'NetworkMissing' });
    expect(turns(ran)).toEqual([
      { id: 'network:shop/web', reason: 'NetworkMissing', turn: 'host' },
      { id: 'service:shop/web', reason: 'DependencyFailed', turn: 'wait' },
    ]);
    expect(onDisk('etc/motd')).toBe('2');
    expect(() => onDisk('etc/old')).toThrow(/ENOENT/);
    expect(bad()).toEqual([]);
    expect(engine.store.commits.get().accepted).toBe(ran.outcome.commit?.commit);
  });

  test('is checked again, and the rest is applied once it holds', async () => {
    await engine.apply(GOOD);
    await engine.apply({ ...GOOD, ...compose(WITH_NETWORK) });
    await host.engine.docker.createNetwork({ Name: 'web', Driver: 'bridge' });
    expect(syncOf(await engine.again())).toEqual({ sync: 'synced', reason: '' });
    expect(container('shop-web-1')?.status).toBe('running');
  });

  test('may be a port that is in use: its service starts when the port is free', async () => {
    await engine.apply(GOOD);
    host.engine.hostPorts.add('tcp/80');
    const files = { ...GOOD, ...compose('services: {web: {image: "app:1", ports: ["80:80"]}}\n') };
    expect(syncOf(await engine.apply(files))).toEqual({ sync: 'failed', reason: 'PortInUse' });
    expect(bad()).toEqual([]);
    host.engine.hostPorts.clear();
    expect(syncOf(await engine.again())).toEqual({ sync: 'synced', reason: '' });
  });

  test('keeps the old service of a rename until the new one can be created', async () => {
    await engine.apply({ ...GOOD, ...compose('services: {old: {image: "app:1"}}\n') });
    await engine.apply({ ...GOOD, ...compose(WITH_NETWORK) });
    expect(container('shop-old-1')?.status).toBe('running');
    await host.engine.docker.createNetwork({ Name: 'web', Driver: 'bridge' });
    await engine.again();
    expect(container('shop-old-1')).toBeUndefined();
  });
});

describe('an outage', () => {
  test('a job that exits with 75 is retried, and nothing is rolled back', async () => {
    await engine.apply(GOOD);
    const exec = host.options.exec;
    let code = 75;
    engine.close();
    host.options.exec = async (argv, options) =>
      argv[0] === 'systemd-run' ? { code, stdout: '', stderr: 'mirror is down\n' } : exec(argv, options);
    engine = reconcilerOn(host, { rollback: true });
    await engine.apply(GOOD);
    const files = { 'a.yaml': 'files: {/etc/motd: {content: "2"}}\njobs: {sync: {run: [mirror]}}\n' };
    expect(syncOf(await engine.apply(files))).toEqual({ sync: 'failed', reason: 'TemporaryFailure' });
    expect(onDisk('etc/motd')).toBe('2');
    expect(bad()).toEqual([]);
    code = 0;
    expect(syncOf(await engine.again())).toEqual({ sync: 'synced', reason: '' });
  });

  /** Programs of the host exit with this code until it is changed. */
  const endingWith = async (names: readonly string[], code: number) => {
    const exec = host.options.exec;
    const so = { code };
    engine.close();
    host.options.exec = async (argv, options) =>
      names.includes(argv[0] ?? '') ? { code: so.code, stdout: '', stderr: 'server is down\n' } : exec(argv, options);
    engine = reconcilerOn(host, { rollback: true });
    await engine.apply(GOOD);
    return so;
  };

  test.each([
    ['an `unless`', 'jobs: {sync: {run: [mirror], unless: [asks]}}\n'],
    ['a validator', 'files: {/etc/x: {content: "x", validate: [asks, "%s"]}}\n'],
    ['a check', 'checks: {c: {run: [asks], within: 1s}}\n'],
  ])('%s that exits with 75 has no result: it is retried, and the rest is applied', async (_what, text) => {
    const so = await endingWith(['systemd-run', 'asks'], 75);
    const files = { 'a.yaml': 'files: {/etc/motd: {content: "2"}}\n', 'b.yaml': text };
    expect(syncOf(await engine.apply(files))).toEqual({ sync: 'failed', reason: 'TemporaryFailure' });
    expect(onDisk('etc/motd')).toBe('2');
    expect(bad()).toEqual([]);
    so.code = 0;
    expect(syncOf(await engine.again({ trigger: 'manual' }))).toEqual({ sync: 'synced', reason: '' });
  });

  test('a job is not run if its `unless` times out', async () => {
    const exec = host.options.exec;
    const asked: string[] = [];
    let stopped: () => void = () => undefined;
    engine.close();
    host.options.exec = async (argv, options) => {
      if (argv[0] === 'systemctl' && argv[1] === 'stop') stopped();
      if (argv[0] !== 'systemd-run') return exec(argv, options);
      asked.push(argv.find((word) => word.startsWith('--unit=')) ?? '');
      await new Promise<void>((resolve) => {
        stopped = resolve;
      });
      return { code: 143, stdout: '', stderr: '' };
    };
    engine = reconcilerOn(host, { rollback: true });
    await engine.apply(GOOD);
    const ran = await engine.apply({ ...GOOD, 'j.yaml': 'jobs: {m: {run: [m], unless: [asks], timeout: 1s}}\n' });
    expect(syncOf(ran)).toEqual({ sync: 'failed', reason: 'TemporaryFailure' });
    expect(asked).toEqual(['--unit=fairlead-unless-m.service']);
  });

  test('a unit whose ExecStartPre exits with 75 is started when that succeeds', async () => {
    await engine.apply(GOOD);
    const unit = (pre: string) => ({
      ...GOOD,
      'u.yaml': `units: {x.service: {state: started, content: "[Service]\\nExecStartPre=${pre}\\nExecStart=/bin/sleep infinity\\n"}}\n`,
    });
    expect(syncOf(await engine.apply(unit("/bin/sh -c 'exit 75'")))).toEqual({
      sync: 'failed',
      reason: 'TemporaryFailure',
    });
    expect(bad()).toEqual([]);
  });

  test('does not count towards any patience', async () => {
    await engine.apply(compose('services: {app: {image: "app:1", restart: always}}\n'));
    host.engine.registry.fail('db:1', 'dial tcp: no route to host');
    let up = false;
    host.engine.registry.push('shop:2', {
      config: { Cmd: ['app'] },
      program: (argv) => (argv[0] === 'app' && !up ? { code: 1, says: 'no database', endsAfterMs: 500 } : RUNS),
    });
    const files = compose('services: {app: {image: "shop:2", restart: always}, db: {image: "db:1"}}\n');
    expect((await engine.apply(files)).outcome.verdict).toBe('open');
    for (let minute = 0; minute < 10; minute++) {
      await host.clock.sleep(60_000);
      expect((await engine.again()).outcome.verdict).toBe('open');
    }
    expect(bad()).toEqual([]);
    host.engine.registry.fail('db:1', null);
    host.engine.registry.push('db:1', { config: { Cmd: ['httpd'] } });
    up = true;
    expect(syncOf(await engine.again())).toEqual({ sync: 'synced', reason: '' });
  });
});

describe('retry pauses', () => {
  const files = compose('services: {web: {image: "far:1"}}\n');
  const pulls = () => host.engine.registry.pulled.filter((name) => name === 'far:1').length;

  test('are not ended by the schedule, but by a person’s sync and by a new commit', async () => {
    host.engine.registry.fail('far:1', 'write /var/lib/docker: no space left on device');
    await engine.apply({ ...GOOD, ...files });
    expect(pulls()).toBe(1);
    for (let tick = 0; tick < 12; tick++) {
      const ran = await engine.again({ trigger: 'schedule' });
      expect(syncOf(ran)).toEqual({ sync: 'failed', reason: 'DiskFull' });
      expect(ran.outcome.problems[0]?.until).toMatch(/^2026-/);
    }
    expect(pulls()).toBe(1);
    await engine.again({ trigger: 'manual' });
    expect(pulls()).toBe(2);
    await engine.apply({ 'a.yaml': 'files: {/etc/motd: {content: "2"}}\n', ...files }, undefined, {
      trigger: 'schedule',
    });
    expect(pulls()).toBe(3);
  });

  test('grow, and an image with a rate limit is requested once in the time that the registry sets', async () => {
    host.engine.registry.fail('far:1', 'toomanyrequests: slow down, retry-after: 30s');
    await engine.apply({ ...GOOD, ...files });
    for (let second = 0; second < 29; second++) {
      await host.clock.sleep(1_000);
      await engine.again({ trigger: 'schedule' });
    }
    expect(pulls()).toBe(1);
    await host.clock.sleep(3_000);
    host.engine.registry.fail('far:1', null);
    host.engine.registry.push('far:1', { config: { Cmd: ['httpd'] } });
    expect(syncOf(await engine.again({ trigger: 'schedule' }))).toEqual({ sync: 'synced', reason: '' });
    expect(pulls()).toBe(2);
  });
});

describe('failures from before a commit', () => {
  const unit = (description: string) => ({
    'u.yaml': `units: {backup.service: {content: "[Unit]\\nDescription=${description}\\n[Service]\\nType=oneshot\\nExecStart=/bin/false\\n"}}\n`,
  });

  test('a oneshot that failed the day before does not fail a commit that changes its description', async () => {
    await engine.apply(unit('one'));
    await host.systemd.systemd.job('StartUnit', 'backup.service');
    const ran = await engine.apply(unit('two'));
    expect(turns(ran)).toEqual([{ id: 'unit:backup.service', reason: 'Unhealthy', turn: 'host' }]);
    expect(bad()).toEqual([]);
    expect(engine.store.commits.get().accepted).toBe(ran.outcome.commit?.commit);
    expect(onDisk('etc/systemd/system/backup.service')).toContain('Description=two');
  });
});

describe('a rollback', () => {
  /** The old version refuses to start with the schema of the next version. */
  const migrating = () => {
    let schema = 1;
    const version = (n: number, works: boolean) => ({
      config: { Cmd: ['app'] },
      program(argv: readonly string[]): Program {
        if (argv[0] !== 'app') return RUNS;
        const refuses = schema > n;
        schema = Math.max(schema, n);
        return refuses || !works ? { code: 1, says: `schema ${schema}`, endsAfterMs: 500 } : RUNS;
      },
    });
    host.engine.registry.push('db:1', version(1, true));
    host.engine.registry.push('db:2', version(2, false));
  };
  const db = (n: number, more = '') => compose(`services: {db: {image: "db:${n}", restart: always${more}}}\n`);

  test('over a migration: if the old version does not become well either, the commit is not bad, and the failure stays reported', async () => {
    migrating();
    await engine.apply(db(1));
    expect(syncOf(await engine.apply(db(2)))).toEqual({ sync: 'failed', reason: 'RollbackFailed' });
    expect(bad()).toEqual([]);
    for (let i = 0; i < 3; i++)
      expect(syncOf(await engine.again({ trigger: 'schedule' }))).toEqual({ sync: 'failed', reason: 'RollbackFailed' });
  });

  test('after which the commit is retried, and at once by a person’s sync', async () => {
    migrating();
    await engine.apply(db(1));
    const ran = await engine.apply(db(2));
    expect(ran.outcome.message).toMatch(/or now with `fairlead sync`/);
    host.engine.registry.push('db:2', { config: { Cmd: ['app'] }, content: 'mended', program: () => RUNS });
    await host.engine.docker.pull('db:2', { platform: '', auth: null, signal: new AbortController().signal });
    expect((await engine.again({ trigger: 'schedule' })).run.sync).toBe('failed');
    expect(syncOf(await engine.again({ trigger: 'manual' }))).toEqual({ sync: 'synced', reason: '' });
  });

  test('does not count failures that the commit itself caused at its last attempt as failures from before', async () => {
    migrating();
    await engine.apply(db(1));
    await engine.apply(db(2));
    // By now the old version crashes under its restart policy.
    for (let i = 0; i < 2; i++) {
      expect(syncOf(await engine.again({ trigger: 'manual' }))).toEqual({ sync: 'failed', reason: 'RollbackFailed' });
      expect(syncOf(await engine.again({ trigger: 'schedule' }))).toEqual({ sync: 'failed', reason: 'RollbackFailed' });
    }
  });

  test('does not count them either if another commit was started in between, and not judged', async () => {
    migrating();
    await engine.apply(db(1));
    await engine.apply(db(2));
    const isBegun = () => container('shop-db-1')?.config.Labels?.label === 'x';
    await engine.apply(db(1, ', labels: {label: x}'), undefined, { superseded: isBegun });
    expect(isBegun()).toBe(true);
    expect(syncOf(await engine.apply(db(2)))).toEqual({ sync: 'failed', reason: 'RollbackFailed' });
  });

  test.each(['rollback: off', 'a whole stack'])('never covers a service that only moves forward: %s', async (where) => {
    migrating();
    const isStack = where === 'a whole stack';
    const on = (n: number) => ({
      'a.yaml': `files: {/etc/motd: {content: "${n}"}}\n`,
      ...(isStack
        ? compose(`x-fairlead: {rollback: off}\nservices: {db: {image: "db:${n}", restart: always}}\n`)
        : db(n, ', x-fairlead: {rollback: off}')),
    });
    await engine.apply(on(1));
    const ran = await engine.apply(on(2));
    expect(ran.run.sync).toBe('rolled-back');
    expect(container('shop-db-1')?.config.Image).toBe('db:2');
    expect(onDisk('etc/motd')).toBe('1');
    const made = container('shop-db-1')?.id;
    for (let i = 0; i < 2; i++) await engine.again({ trigger: 'schedule' });
    expect(container('shop-db-1')?.id).toBe(made);
    host.engine.registry.push('db:3', { config: { Cmd: ['app'] }, program: () => RUNS });
    expect((await engine.apply(on(3))).run.sync).toBe('synced');
  });
});

describe('failures caused by an earlier commit that was not judged are blamed on the next one', () => {
  const SICK = { healthcheck: { test: ['CMD', '/bin/false'], interval: '1s', retries: 2 } };
  const web = (more: object, beside = '') => ({
    ...compose(JSON.stringify({ services: { web: { image: 'app:1', ...more } } })),
    ...(beside === '' ? {} : { 'b.yaml': `files: {/etc/beside: {content: "${beside}"}}\n` }),
  });
  const hasFailingCheck = () => container('shop-web-1')?.config.Healthcheck !== undefined;
  beforeEach(async () => {
    host.engine.registry.push('app:1', {
      config: { Cmd: ['httpd'] },
      program: (argv) => (argv.includes('/bin/false') ? { code: 1, says: '' } : RUNS),
    });
    await engine.apply(web({}));
  });
  const expectRolledBack = async (ran: RunResult) => {
    expect(syncOf(ran)).toEqual({ sync: 'rolled-back', reason: 'Unhealthy' });
    expect(hasFailingCheck()).toBe(false);
  };

  test('if the next commit arrived meanwhile', async () => {
    let looks = 0;
    const open = await engine.apply(web(SICK), undefined, { superseded: () => hasFailingCheck() && ++looks > 20 });
    expect(open.run.sync).toBe('progressing');
    await expectRolledBack(await engine.apply(web(SICK, 'x')));
  });

  test('if the agent was stopped, and is started with the next commit', async () => {
    const stop = new AbortController();
    await engine.apply(web(SICK), stop.signal, {
      emit: (line) => {
        if (line.type === 'phase' && line.phase === 'settle') stop.abort();
      },
    });
    engine.restart();
    await host.clock.sleep(10_000);
    await expectRolledBack(await engine.apply(web(SICK, 'x')));
  });

  test('if its rollback did not finish', async () => {
    const stop = new AbortController();
    await engine.apply(web(SICK), stop.signal, {
      emit: (line) => {
        if (line.type === 'phase' && line.phase === 'rollback') stop.abort();
      },
    });
    expect(hasFailingCheck()).toBe(true);
    await expectRolledBack(await engine.apply(web(SICK, 'x')));
  });

  test('but failures from before the earlier commit are blamed on neither', async () => {
    let isBroken = false;
    host.engine.registry.push('app:2', {
      config: { Cmd: ['httpd'] },
      program: (argv) => (argv.includes('/bin/true') && isBroken ? { code: 1, says: '' } : RUNS),
    });
    const labelled = (label: string) =>
      web({ image: 'app:2', labels: { label }, healthcheck: { ...SICK.healthcheck, test: ['CMD', '/bin/true'] } });
    expect((await engine.apply(labelled('a'))).run.sync).toBe('synced');
    isBroken = true;
    await host.clock.sleep(10_000);
    expect(container('shop-web-1')?.health).toBe('unhealthy');
    let looks = 0;
    const isChanged = () => container('shop-web-1')?.config.Labels?.label === 'b';
    await engine.apply(labelled('b'), undefined, { superseded: () => isChanged() && ++looks > 3 });
    expect(isChanged()).toBe(true);
    const ran = await engine.apply(labelled('c'));
    expect(syncOf(ran)).toEqual({ sync: 'failed', reason: 'Unhealthy' });
    expect(turns(ran)).toMatchObject([{ id: 'service:shop/web', turn: 'host' }]);
    expect(bad()).toEqual([]);
  });
});

test('a bad commit is no longer reported once another one was accepted, and is still not tried again', async () => {
  await engine.apply(compose('services: {app: {image: "app:1"}}\n'));
  await engine.apply(compose('services: {app: {image: "app:1", command: "false"}}\n'));
  const [first] = engine.store.commits.listBad(5);
  expect(first?.at && first.at > (engine.store.commits.get().goodSince ?? '')).toBe(true);
  await engine.apply(compose('services: {app: {image: "app:1", command: "httpd -v"}}\n'));
  expect(first?.at && first.at > (engine.store.commits.get().goodSince ?? '')).toBe(false);
  const again = await engine.apply(compose('services: {app: {image: "app:1", command: "false"}}\n'));
  expect(again.run.sync).toBe('rolled-back');
  expect(again.outcome.actions).toEqual([]);
});

describe('an error that is found before anything is changed', () => {
  test('an invalid image name rejects the commit, and nothing has to be rolled back', async () => {
    await engine.apply({ ...GOOD, ...compose('services: {web: {image: "app:1"}}\n') });
    host.engine.registry.fail('Bad/app:1', 'invalid reference format: repository name must be lowercase');
    const ran = await engine.apply({
      'a.yaml': 'files: {/etc/motd: {content: "2"}}\n',
      ...compose('services: {web: {image: "Bad/app:1"}}\n'),
    });
    expect(ran.outcome).toMatchObject({ rejected: true, reason: 'InvalidCommit' });
    expect(onDisk('etc/motd')).toBe('1');
    expect(bad()).toEqual([]);
    rmSync(path.join(host.root, 'etc/motd'));
    await engine.again();
    expect(onDisk('etc/motd')).toBe('1');
  });
});
