/** The agent's metrics: the text that Prometheus reads, the counters, and the file for node_exporter. */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { statusOf } from '../../agent/core/reporting/status.ts';
import type { Problem, ResourceStatus } from '../../agent/core/types.ts';
import { silentLog } from '../../agent/log.ts';
import { createAgentMetrics } from '../../agent/metrics/index.ts';
import { familiesOf, type MetricsInput } from '../../agent/metrics/prometheus/families.ts';
import { type Family, renderText } from '../../agent/metrics/prometheus/text.ts';
import { createTextfile, type Textfile } from '../../agent/metrics/prometheus/textfile.ts';
import { createTally } from '../../agent/metrics/tally.ts';
import { openStore } from '../../agent/store/db.ts';
import { REASONS } from '../../manifests-schema/reasons.ts';
import { readExposition, valueIn } from '../exposition.ts';
import { inMemory } from '../scratch.ts';

const dirs: string[] = [];
afterEach(() => {
  for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true });
});
function directory(): string {
  const dir = inMemory('textfile');
  dirs.push(dir);
  return dir;
}

describe('the text format', () => {
  const hostile = fc.string({
    unit: fc.constantFrom('"', '\\', '\n', '\r', 'n', '{', '}', ',', '=', ' ', '#', 'ä', '😀', '\ud800', 'a'),
  });
  const number = fc.oneof(fc.double(), fc.integer(), fc.constantFrom(Infinity, -Infinity, NaN, 1e21, 1e-7, -0));

  test('survives a round trip of any labels, help texts and numbers', () => {
    fc.assert(
      fc.property(fc.record({ help: hostile, values: fc.uniqueArray(hostile, { minLength: 1 }), number }), (given) => {
        const help = `x${given.help}`.toWellFormed();
        const samples = [...new Set(given.values.map((value) => value.toWellFormed()))].map((value) => ({
          labels: { a: value, b: 'b' },
          value: given.number,
        }));
        const family: Family = { name: 'x_bytes', help, type: 'gauge', samples };
        const found = readExposition(renderText([family])).get('x_bytes');
        expect(found?.help).toBe(help);
        expect(found?.series).toEqual(
          samples.map(({ labels, value }) => ({ name: 'x_bytes', labels, value: value === 0 ? 0 : value })),
        );
      }),
    );
  });

  test('leaves out a family without samples', () => {
    expect(renderText([{ name: 'a', help: 'b', type: 'gauge', samples: [] }])).toBe('');
  });

  test.each([
    ['a duplicate label', '# HELP a b\n# TYPE a gauge\na{x="1",x="2"} 1\n'],
    ['a duplicate series', '# HELP a b\n# TYPE a gauge\na{x="1"} 1\na{x="1"} 2\n'],
    ['an invalid escape', '# HELP a b\n# TYPE a gauge\na{x="\\r"} 1\n'],
    ['an invalid number', '# HELP a b\n# TYPE a gauge\na 1,5\n'],
    ['a missing line end', '# HELP a b\n# TYPE a gauge\na 1'],
    ['a counter without _total', '# HELP a b\n# TYPE a counter\na 1\n'],
    ['a missing help text', '# TYPE a gauge\na 1\n'],
  ])('the strict parser of these tests refuses %s', (_what, text) => {
    expect(() => readExposition(text)).toThrow();
  });
});

const NOW = '2026-11-24T08:00:00.000Z';
const commit = { ref: 'main', commit: 'c'.repeat(40), author: 'A "B" <a@b>', subject: 'a\n"secret"', committedAt: NOW };
function input(over: Partial<MetricsInput> = {}): MetricsInput {
  const resources: ResourceStatus[] = [
    { id: 'file:/etc/a', sync: 'synced', health: 'healthy', reason: '' },
    { id: 'service:s/a', sync: 'failed', health: 'degraded', reason: 'Unhealthy' },
  ];
  const problems: Problem[] = Array.from({ length: 30 }, (_, i) => ({
    id: `service:s/${i}`,
    reason: 'Unhealthy',
    message: 'hunter2',
    turn: 'commit',
    ...{ file: null, line: null },
  }));
  return {
    status: statusOf({
      identity: { host: 'h', fleet: 'f', labels: {}, version: '1.2.3', startedAt: NOW, instance: 'i' },
      state: {
        ...{ mode: 'enforce', labels: {}, desired: commit, applied: null, lastGood: null, pin: null, bad: [] },
        ...{ gate: { kind: 'window', reason: 'hunter2', until: null }, hostStates: [], resources, problems },
        run: {
          id: 1,
          trigger: 'start',
          startedAt: NOW,
          durationMs: 5,
          sync: 'failed',
          reason: 'Unhealthy',
          message: 'hunter2',
          commit,
          changed: 0,
          failed: 1,
          repaired: 0,
        },
        ...{ reason: 'Unhealthy', message: 'hunter2', warnings: [], waiting: [], running: false },
      },
      facts: { os: '', arch: '', kernel: '', addresses: [] },
      ...{ at: NOW, seq: 1, next: null },
    }),
    ...{ problems, resources, counts: createTally().counts(), outbox: 7, isConnected: true, needsReboot: false },
    goodMs: 1_500,
    process: { startedMs: 2_500, cpuSeconds: 0.25, rssBytes: 1024 },
    ...over,
  };
}
const read = (over: Partial<MetricsInput> = {}) => readExposition(renderText(familiesOf(input(over))));

describe('the metrics of a host', () => {
  test('pass the strict parser, each name with the prefix fairlead_', () => {
    // node_exporter has `process_…` of its own, and refuses a file that has them as well.
    expect([...read().keys()].filter((name) => !name.startsWith('fairlead_'))).toEqual([]);
  });

  test('report 1 for the current state of the host and 0 for all others', () => {
    const families = read();
    expect(valueIn(families, 'fairlead_sync_state', { state: 'failed' })).toBe(1);
    expect(families.get('fairlead_sync_state')?.series.reduce((sum, { value }) => sum + value, 0)).toBe(1);
    expect(valueIn(families, 'fairlead_health_state', { state: 'degraded' })).toBe(1);
    expect(valueIn(families, 'fairlead_gate', { kind: 'window' })).toBe(1);
    expect(valueIn(families, 'fairlead_gate', { kind: 'pause' })).toBe(0);
  });

  test('count problems beyond the twenty of the status, by turn and by reason', () => {
    const families = read();
    expect(valueIn(families, 'fairlead_problems', { turn: 'commit' })).toBe(30);
    expect(valueIn(families, 'fairlead_problems', { turn: 'host' })).toBe(0);
    expect(valueIn(families, 'fairlead_problem_reasons', { reason: 'Unhealthy' })).toBe(30);
  });

  test('report version, commits, resources, spool and pending reboots or restarts', () => {
    const families = read();
    expect(families.get('fairlead_info')?.series[0]?.labels).toEqual({ version: '1.2.3', host: 'h', fleet: 'f' });
    expect(families.get('fairlead_commit_info')?.series[0]?.labels).toMatchObject({
      ref: 'main',
      desired: commit.commit,
    });
    expect(valueIn(families, 'fairlead_resources', { sync: 'failed' })).toBe(1);
    expect(valueIn(families, 'fairlead_resources', { sync: 'held' })).toBe(0);
    expect(valueIn(families, 'fairlead_outbox_events')).toBe(7);
    expect(valueIn(families, 'fairlead_reboot_required')).toBe(0);
    expect(valueIn(families, 'fairlead_broker_connected')).toBe(1);
    expect(valueIn(families, 'fairlead_last_good_sync_timestamp_seconds')).toBe(1.5);
  });

  test('leave out what is unknown or not configured', () => {
    const families = read({ isConnected: null, needsReboot: null, goodMs: null });
    expect(families.has('fairlead_broker_connected')).toBe(false);
    expect(families.has('fairlead_reboot_required')).toBe(false);
    expect(families.has('fairlead_last_good_sync_timestamp_seconds')).toBe(false);
  });

  test('have no message, subject or resource name in their labels', () => {
    const text = renderText(familiesOf(input()));
    for (const word of ['hunter2', 'secret', 'service:', '/etc/a']) expect(text).not.toContain(word);
  });

  test('are bounded in size, however much goes wrong', () => {
    const tally = createTally();
    const reasons = Object.keys(REASONS);
    for (const code of reasons) tally.told({ type: 'change', data: { result: 'failed', error: { code } } });
    const problems = reasons.map(
      (reason) => ({ id: 'x', reason, message: '', turn: 'host', file: null, line: null }) as Problem,
    );
    const text = renderText(familiesOf(input({ counts: tally.counts(), problems })));
    expect(text.split('\n').length).toBeLessThan(200 + 2 * reasons.length);
  });
});

describe('the counters', () => {
  const run = { trigger: 'schedule', sync: 'synced', reason: '', startedAt: NOW, durationMs: 200 } as const;

  test('count runs by trigger and result, with their durations', () => {
    const tally = createTally();
    tally.ran(run, true);
    tally.ran({ ...run, durationMs: 2_000 }, true);
    tally.ran({ ...run, sync: 'held', durationMs: 2_000_000 }, true);
    const families = read({ counts: tally.counts() });
    expect(valueIn(families, 'fairlead_runs_total', { trigger: 'schedule', result: 'synced' })).toBe(2);
    expect(valueIn(families, 'fairlead_runs_total', { trigger: 'schedule', result: 'held' })).toBe(1);
    expect(valueIn(families, 'fairlead_runs_total', { trigger: 'push', result: 'failed' })).toBe(0);
    const bucket = (le: string) =>
      families.get('fairlead_run_duration_seconds')?.series.find(({ labels }) => labels.le === le)?.value;
    expect([bucket('0.1'), bucket('0.25'), bucket('2.5'), bucket('900'), bucket('+Inf')]).toEqual([0, 1, 2, 2, 3]);
    expect(valueIn(families, 'fairlead_last_run_duration_seconds')).toBe(2_000);
  });

  test('count a good sync only for a whole run that could read the repository and found everything well', () => {
    const good = (over: object, isWhole = true) => {
      const tally = createTally();
      tally.ran({ ...run, ...over }, isWhole);
      return tally.counts().goodMs;
    };
    expect(good({})).toBe(Date.parse(NOW) + 200);
    expect(good({}, false)).toBeNull();
    expect(good({ reason: 'RepositoryUnreachable' })).toBeNull();
    expect(good({ sync: 'held' })).toBeNull();
    expect(good({ sync: 'failed' })).toBeNull();
  });

  test('count failures of runs by reason, and of resources by code', () => {
    const tally = createTally();
    tally.ran({ ...run, sync: 'failed', reason: 'ImagePullFailed' }, true);
    tally.ran({ ...run, sync: 'rolled-back', reason: 'Unhealthy' }, true);
    tally.told({ type: 'change', data: { result: 'failed', error: { code: 'ImagePullFailed' } } });
    tally.told({ type: 'change', data: { result: 'blocked', error: { code: 'Blocked' } } });
    const families = read({ counts: tally.counts() });
    expect(valueIn(families, 'fairlead_run_failures_total', { reason: 'Unhealthy' })).toBe(1);
    expect(families.get('fairlead_resource_failures_total')?.series).toHaveLength(1);
    expect(valueIn(families, 'fairlead_resource_failures_total', { reason: 'ImagePullFailed' })).toBe(1);
  });

  test('count drift that was found and drift that was repaired', () => {
    const tally = createTally();
    tally.told({ type: 'repair', data: { result: 'done' } });
    tally.told({ type: 'drift', data: { result: 'failed', error: { code: 'Internal' } } });
    const families = read({ counts: tally.counts() });
    expect(valueIn(families, 'fairlead_drift_total')).toBe(2);
    expect(valueIn(families, 'fairlead_repairs_total')).toBe(1);
  });
});

test('the last good sync before a restart is found in the history', () => {
  const store = openStore({ dir: path.join(directory(), 'state'), now: () => new Date(), log: silentLog });
  const record = (
    trigger: 'schedule' | 'drift',
    sync: 'synced' | 'failed',
    at: string,
    reason: '' | 'Internal' = '',
  ) => {
    const id = store.runs.begin(trigger, at);
    const rest = { durationMs: 500, message: '', commit: null, changed: 1, failed: 0, repaired: 0 };
    store.runs.finish({ id, trigger, startedAt: at, sync, reason, ...rest }, [], []);
  };
  expect(store.runs.lastGoodMs()).toBeNull();
  record('schedule', 'synced', '2026-01-01T00:00:00.000Z');
  record('drift', 'synced', '2026-01-02T00:00:00.000Z');
  record('schedule', 'synced', '2026-01-03T00:00:00.000Z', 'Internal');
  record('schedule', 'failed', '2026-01-04T00:00:00.000Z', 'Internal');
  expect(store.runs.lastGoodMs()).toBe(Date.parse('2026-01-01T00:00:00.500Z'));
  store.close();
});

describe('the metrics of a daemon', () => {
  function daemon() {
    const dir = directory();
    const store = openStore({ dir: path.join(dir, 'state'), now: () => new Date(), log: silentLog });
    const { status, problems, resources } = input();
    const metrics = createAgentMetrics({
      ...{ status: () => status, problems: () => problems, resources: () => resources, isConnected: () => null },
      ...{ store, startedAt: new Date(0), root: dir, log: silentLog, onProblems: () => undefined },
    });
    const answer = async () => readExposition((await metrics.answer()).text);
    return { dir, store, metrics, answer };
  }

  test('count what is recorded during its life, and include the good sync of its predecessor', async () => {
    const { store, metrics, answer } = daemon();
    const startedAt = '2026-01-01T00:00:00.000Z';
    const id = store.runs.begin('start', startedAt);
    const rest = { durationMs: 1_000, message: '', commit: null, changed: 1, failed: 0, repaired: 0 };
    const run = { id, trigger: 'start', startedAt, sync: 'synced', reason: '', ...rest } as const;
    store.runs.finish(run, [], [{ at: startedAt, type: 'repair', run: id, data: { result: 'done' } }]);
    const families = await answer();
    expect(valueIn(families, 'fairlead_repairs_total')).toBe(1);
    expect(valueIn(families, 'fairlead_outbox_events')).toBe(1);
    expect(valueIn(families, 'fairlead_last_good_sync_timestamp_seconds')).toBe(Date.parse(startedAt) / 1000 + 1);
    metrics.tally.ran({ ...run, startedAt: '2026-01-02T00:00:00.000Z' }, true);
    expect(valueIn(await answer(), 'fairlead_last_good_sync_timestamp_seconds')).toBe(Date.UTC(2026, 0, 2) / 1000 + 1);
    metrics.stop({ keep: false });
    store.close();
  });

  test('report whether the system needs a reboot if the system keeps a marker for it, and nothing otherwise', async () => {
    const { dir, store, metrics, answer } = daemon();
    expect((await answer()).has('fairlead_reboot_required')).toBe(false);
    mkdirSync(path.join(dir, 'var/lib/dpkg'), { recursive: true });
    writeFileSync(path.join(dir, 'var/lib/dpkg/status'), '');
    expect(valueIn(await answer(), 'fairlead_reboot_required')).toBe(0);
    mkdirSync(path.join(dir, 'run'));
    writeFileSync(path.join(dir, 'run/reboot-required'), '');
    expect(valueIn(await answer(), 'fairlead_reboot_required')).toBe(1);
    metrics.stop({ keep: false });
    store.close();
  });

  test('are written only to the file that agent.yaml names now', async () => {
    const { dir, store, metrics } = daemon();
    const has = (name: string) => existsSync(path.join(dir, name));
    await metrics.keepFile('/a.prom');
    expect(readExposition(readFileSync(path.join(dir, 'a.prom'), 'utf8')).has('fairlead_info')).toBe(true);
    await metrics.keepFile('/b.prom');
    expect({ a: has('a.prom'), b: has('b.prom') }).toEqual({ a: false, b: true });
    await metrics.keepFile(undefined);
    expect(has('b.prom')).toBe(false);
    await metrics.keepFile('/none/c.prom');
    expect(metrics.problems()).toMatchObject([{ reason: 'MetricsUnwritable' }]);
    await metrics.keepFile('/d.prom');
    expect(metrics.problems()).toEqual([]);
    metrics.stop({ keep: true });
    expect(has('d.prom')).toBe(true);
    store.close();
  });
});

describe('the file for node_exporter', () => {
  function desk(file = path.join(directory(), 'fairlead.prom')) {
    const told: string[] = [];
    const now = { text: 'a 1\n', steady: 'a' };
    const due: { ms: number; act: () => void; isOver: boolean }[] = [];
    const timer = (ms: number, act: () => void) => {
      const one = { ms, act, isOver: false };
      due.push(one);
      return () => {
        one.isOver = true;
      };
    };
    let problems = 0;
    const textfile: Textfile = createTextfile({
      file,
      gather() {
        if (now.text === '') throw new Error('the database is damaged');
        return { ...now };
      },
      log: { ...silentLog, warn: (_data, message) => void told.push(message) },
      onProblems: () => problems++,
      every: timer,
      after: timer,
    });
    const run = (ms: number) => {
      for (const one of due) if (one.ms === ms && !one.isOver) one.act();
    };
    const text = () => readFileSync(file, 'utf8');
    return {
      file,
      textfile,
      now,
      told,
      soon: () => run(1_000),
      later: () => run(300_000),
      text,
      problems: () => problems,
    };
  }

  test('is readable by all whatever the umask, and leaves no other file in its directory', () => {
    const { file, textfile, text } = desk();
    const before = process.umask(0o077);
    textfile.write();
    process.umask(before);
    expect(text()).toBe('a 1\n');
    expect(statSync(file).mode & 0o777).toBe(0o644);
    expect(readdirSync(path.dirname(file))).toEqual(['fairlead.prom']);
  });

  test('is written soon after an event, and not if nothing happened', () => {
    const { textfile, now, soon, text } = desk();
    textfile.write();
    now.text = 'a 2\n';
    textfile.changed();
    soon();
    expect(text()).toBe('a 1\n');
    now.steady = 'b';
    textfile.changed();
    soon();
    expect(text()).toBe('a 2\n');
  });

  test('is written every five minutes, even if nothing happened', () => {
    const { textfile, now, later, text } = desk();
    textfile.write();
    now.text = 'a 2\n';
    later();
    expect(text()).toBe('a 2\n');
  });

  test('is removed when the agent stops, and stays after a single run', () => {
    const one = desk();
    one.textfile.write();
    one.textfile.stop();
    expect(existsSync(one.file)).toBe(false);
    one.later();
    expect(existsSync(one.file)).toBe(false);
    const other = desk();
    other.textfile.write();
    other.textfile.stop({ keep: true });
    expect(existsSync(other.file)).toBe(true);
  });

  test('is reported as a problem once while it cannot be written', () => {
    const dir = directory();
    const { textfile, told, later, problems } = desk(path.join(dir, 'none/fairlead.prom'));
    textfile.write();
    later();
    expect(textfile.problems()).toMatchObject([{ id: 'metrics', reason: 'MetricsUnwritable' }]);
    expect(told).toHaveLength(1);
    expect(problems()).toBe(1);
  });

  test('does not stop the agent if its content cannot be computed', () => {
    const { textfile, now, soon, later, text } = desk();
    textfile.write();
    const before = now.text;
    now.text = '';
    textfile.changed();
    expect(soon).not.toThrow();
    expect(later).not.toThrow();
    expect(() => textfile.write()).not.toThrow();
    expect(textfile.problems()).toMatchObject([{ reason: 'MetricsUnwritable' }]);
    expect(text()).toBe(before);
    now.text = 'a 3\n';
    later();
    expect(textfile.problems()).toEqual([]);
  });

  test('replaces a symbolic link, and writes nothing to the target of a link', () => {
    const dir = directory();
    writeFileSync(path.join(dir, 'shadow'), 'root');
    chmodSync(path.join(dir, 'shadow'), 0o600);
    symlinkSync('shadow', path.join(dir, 'fairlead.prom'));
    symlinkSync('shadow', path.join(dir, '.fairlead.prom.tmp'));
    const { textfile, text } = desk(path.join(dir, 'fairlead.prom'));
    textfile.write();
    expect(text()).toBe('a 1\n');
    expect(readFileSync(path.join(dir, 'shadow'), 'utf8')).toBe('root');
    expect(statSync(path.join(dir, 'shadow')).mode & 0o777).toBe(0o600);
  });
});
