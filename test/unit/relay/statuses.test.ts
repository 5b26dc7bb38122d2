/**
 * Reporting the progress of a fleet to forges: rarely, once, within limits, over outages, take-overs and restarts. Time is
 * simulated.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { FleetRow } from '../../../agent/fleet/reader/model.ts';
import type { Answer } from '../../../agent/fleet/relay/forges/call.ts';
import type { Call } from '../../../agent/fleet/relay/forges/rules.ts';
import { createStatuses, RULES } from '../../../agent/fleet/relay/forges/statuses.ts';
import type { Worker } from '../../../agent/fleet/relay/work.ts';
import { type Log, silentLog } from '../../../agent/log.ts';
import type { StatusSettings } from '../../../manifests-schema/relay.ts';
import { createFakeClock, type FakeClock } from '../../fakes/clock.ts';
import { NEW, NEWER, OLD, row, rowsOf } from './fleet-rows.ts';

const MINUTE = 60_000;
let dir = '';
let clock: FakeClock;
/** The state that is retained on the broker for the next relay. */
let shelf = '';
let calls: (Call & { at: number })[];
let answer: (call: Call) => Answer;
const ends: (() => Promise<void>)[] = [];

beforeEach(() => {
  dir = mkdtempSync(path.join(os.tmpdir(), 'fairlead-statuses-'));
  clock = createFakeClock();
  shelf = '';
  calls = [];
  answer = ({ method }) => ({ kind: 'done', value: method === 'GET' ? [] : { id: 7 }, waitMs: 0 });
});
afterEach(async () => {
  await Promise.all(ends.splice(0).map((end) => end()));
  rmSync(dir, { recursive: true, force: true });
});

const GITHUB: StatusSettings = { forge: 'github', repository: 'acme/fleet', tokenFile: '/token' };

/** A relay that holds the lease. @param machine another machine has another disk */
function relay(forges: readonly StatusSettings[] = [GITHUB], { machine = 'one', log = silentLog as Log } = {}): Worker {
  const worker = createStatuses({
    ...{ forges, fleet: 'shop', file: path.join(dir, `${machine}.json`), env: {}, secret: () => undefined },
    ...{ clock, log, random: () => 0.5 },
    turn: {
      left: () => shelf,
      async share(_, text) {
        shelf = text;
      },
    },
    callerOf: () => async (call) => {
      calls.push({ ...call, at: clock.monotonic() });
      return answer(call);
    },
  });
  worker.start();
  ends.push(worker.stop);
  return worker;
}
const see = (worker: Worker, rows: readonly FleetRow[], isWhole = false) => worker.see(rows, { isWhole });
/** Advances the time. */
const pass = (ms: number) => clock.sleep(ms);
const said = () =>
  calls.map(({ body }) => {
    const { state = '', description = '' } = (body ?? {}) as { state?: string; description?: string };
    return `${state} ${description}`.trim();
  });

test('one status reports that the rollout is in progress, another that all hosts have the commit, and single hosts are not reported', async () => {
  const worker = relay();
  see(worker, rowsOf(500, { commit: OLD }), true);
  await pass(MINUTE);
  expect(said()).toEqual(['success 500 of 500 hosts']);
  calls = [];
  see(worker, [row('edge-0', {})]);
  await pass(15_000);
  for (let host = 1; host < 500; host++) {
    see(worker, [row(`edge-${host}`, {})]);
    await pass(20);
  }
  await pass(5 * MINUTE);
  expect(said()).toEqual(['pending 1 of 500 hosts', 'success 500 of 500 hosts']);
});

test('a slow rollout is reported less and less often', async () => {
  const worker = relay();
  see(worker, rowsOf(600, { commit: OLD }), true);
  await pass(MINUTE);
  calls = [];
  for (let host = 0; host < 600; host++) {
    see(worker, [row(`edge-${host}`, {})]);
    await pass(MINUTE);
  }
  await pass(MINUTE);
  const pauses = calls.map(({ at }, i) => at - (calls[i - 1]?.at ?? at)).slice(1, -1);
  expect(pauses).toEqual(pauses.toSorted((a, b) => a - b));
  expect(calls.length).toBeLessThan(40);
  expect(said().at(-1)).toBe('success 600 of 600 hosts');
});

test('changes that last only seconds are not reported', async () => {
  const worker = relay();
  see(worker, rowsOf(2, {}), true);
  await pass(MINUTE);
  see(worker, [row('edge-0', { sync: 'failed', reason: 'UnitFailed', message: 'm' })]);
  await pass(2_000);
  see(worker, [row('edge-0', {})]);
  await pass(10 * MINUTE);
  expect(said()).toEqual(['success 2 of 2 hosts']);
});

test('after the end only further hosts with the commit are reported, not busy, unwell or offline ones', async () => {
  const worker = relay();
  see(worker, [...rowsOf(4, {}), row('late', { commit: OLD, presence: 'offline' })], true);
  await pass(10 * MINUTE);
  const end = said();
  expect(end.at(-1)).toBe('success 4 of 5 hosts; 1 offline');
  for (const more of [{ health: 'progressing' }, { health: 'degraded' }, { presence: 'offline' as const }, {}]) {
    see(worker, [row('edge-0', more)]);
    await pass(30 * MINUTE);
  }
  expect(said()).toEqual(end);
  see(worker, [row('late', {})]);
  await pass(30 * MINUTE);
  expect(said()).toEqual([...end, 'success 5 of 5 hosts']);
});

test('nothing is sent after the relay lost the lease', async () => {
  const worker = relay();
  see(worker, rowsOf(2, {}), true);
  await pass(MINUTE);
  await worker.stop();
  see(worker, rowsOf(2, { commit: NEWER }));
  await pass(MINUTE);
  expect(said()).toEqual(['success 2 of 2 hosts']);
});

test('a commit that fails is reported, and one that fixes it', async () => {
  const worker = relay();
  see(worker, rowsOf(3, { sync: 'rolled-back', reason: 'UnitFailed', message: 'unit:app.service failed' }), true);
  await pass(MINUTE);
  see(worker, rowsOf(3, { commit: NEWER }));
  await pass(MINUTE);
  expect(said()).toEqual(['failure 0 of 3 hosts; 3 failed. edge-0: unit:app.service failed', 'success 3 of 3 hosts']);
  expect(calls.map(({ path }) => path.slice(-40))).toEqual([NEW, NEWER]);
});

test('a superseded commit is reported as such', async () => {
  const worker = relay();
  see(worker, [row('a', {}), row('b', { sync: 'progressing' })], true);
  await pass(MINUTE);
  see(worker, [row('a', { commit: NEWER })]);
  await pass(MINUTE);
  expect(said()).toContain(`pending 1 of 2 hosts; superseded by ${NEWER.slice(0, 7)}`);
  expect(said()).toContain('pending 1 of 2 hosts');
  expect(calls).toHaveLength(3);
});

test('a host that is offline for five minutes is not waited for any more', async () => {
  const worker = relay();
  see(worker, [row('a', {}), row('b', { commit: OLD, presence: 'offline' })], true);
  await pass(4 * MINUTE);
  expect(said()).toEqual(['pending 1 of 2 hosts']);
  await pass(3 * MINUTE);
  expect(said()).toEqual(['pending 1 of 2 hosts', 'success 1 of 2 hosts; 1 offline']);
});

test.each(['the broker', 'the disk'])('a restart repeats nothing: by %s', async (what) => {
  const first = relay();
  see(first, rowsOf(2, {}), true);
  await pass(MINUTE);
  await first.stop();
  if (what === 'the disk') shelf = '';
  const second = relay([GITHUB], { machine: what === 'the disk' ? 'one' : 'two' });
  see(second, rowsOf(2, {}), true);
  await pass(10 * MINUTE);
  expect(said()).toEqual(['success 2 of 2 hosts']);
  expect(existsSync(path.join(dir, 'one.json'))).toBe(true);
});

const forged = (told: object) =>
  JSON.stringify({
    schema: 1,
    forges: {
      'github api.github.com acme/fleet': { schema: 1, commits: { [NEW]: { ref: 'main', at: 0, times: 1, ...told } } },
    },
  });

test.each([
  ...['', 'x', 'null', '{"schema":2}', '{"schema":1,"forges":{"github api.github.com acme/fleet":{"schema":1}}}'],
  forged({ status: null, deployment: { id: '../../../user', state: null } }),
  forged({ status: { state: 'x', text: '2 of 2 hosts' }, deployment: null }),
  forged({ status: 7, deployment: null }),
  forged({ deployment: null }),
])('a foreign state is not read: %s', async (text) => {
  shelf = text;
  see(relay(), rowsOf(2, {}), true);
  await pass(MINUTE);
  expect(said()).toEqual(['success 2 of 2 hosts']);
});

test('an outage is retried less and less often, and then the newest state is sent', async () => {
  const warned: string[] = [];
  const log = { ...silentLog, warn: (_: object, message: string) => warned.push(message) };
  answer = () => ({ kind: 'again', status: 502, why: 'it answered 502', waitMs: 0 });
  const worker = relay([GITHUB], { log });
  see(worker, [row('a', {}), row('b', { commit: OLD })], true);
  await pass(20 * MINUTE);
  expect(calls.length).toBeLessThan(12);
  see(worker, [row('b', {})]);
  answer = () => ({ kind: 'done', value: null, waitMs: 0 });
  calls = [];
  await pass(6 * MINUTE);
  expect(said()).toEqual(['success 2 of 2 hosts']);
  expect(warned).toEqual([
    expect.stringMatching(
      /^cannot send the status of commit bbbbbbb to github api.github.com acme\/fleet: it answered 502; tried again/,
    ),
  ]);
});

test('a forge that asks for a pause gets it', async () => {
  answer = () => ({ kind: 'again', status: 429, why: 'it answered 429', waitMs: 30 * MINUTE });
  const worker = relay();
  see(worker, rowsOf(2, {}), true);
  await pass(29 * MINUTE);
  expect(calls).toHaveLength(1);
  answer = () => ({ kind: 'done', value: null, waitMs: 10 * MINUTE });
  await pass(2 * MINUTE);
  expect(calls).toHaveLength(2);
  // Also if the pause was announced with a success.
  see(worker, rowsOf(2, { commit: NEWER }));
  await pass(5 * MINUTE);
  expect(calls).toHaveLength(2);
  await pass(6 * MINUTE);
  expect(calls).toHaveLength(3);
});

test('a commit that the forge does not know is given up in the end, and does not delay others', async () => {
  answer = ({ path }) =>
    path.endsWith(NEW)
      ? { kind: 'unfit', status: 422, why: 'it answered 422 (No commit found)', waitMs: 0 }
      : { kind: 'done', value: null, waitMs: 0 };
  const worker = relay();
  see(worker, [row('a', {}), row('b', { ref: 'other', commit: OLD })], true);
  await pass(MINUTE);
  expect(calls.some(({ path }) => path.endsWith(OLD))).toBe(true);
  await pass(48 * 60 * MINUTE);
  expect(calls.filter(({ path }) => path.endsWith(NEW))).toHaveLength(8);
});

test('whatever hosts report, at most a burst and one request every three seconds are sent', async () => {
  const worker = relay();
  // Each host follows a ref of its own, and reports another commit every twelve seconds.
  for (let round = 0; round < 30; round++) {
    const commit = (host: number) => ((round << 8) + host).toString(16).padStart(40, '0');
    const date = new Date(Date.UTC(2026, 0, 1, 0, round)).toISOString();
    const rows = Array.from({ length: 100 }, (_, host) =>
      row(`h-${host}`, { ref: `r-${host}`, commit: commit(host), committedAt: date }),
    );
    see(worker, rows, round === 0);
    await pass(12_000);
  }
  const busiest = Math.max(
    ...calls.map(({ at }) => calls.filter((one) => one.at >= at && one.at < at + MINUTE).length),
  );
  expect(calls.length).toBeGreaterThan(20);
  expect(busiest).toBeLessThanOrEqual(30);
});

const DEPLOYED: StatusSettings = { ...GITHUB, environment: 'production' };
const deployments = () =>
  calls
    .filter(({ path }) => path.includes('/deployments'))
    .map(({ method, path, body }) =>
      `${method} ${path.replace(/.*\/deployments|\?.*/g, '')} ${(body as { state?: string })?.state ?? ''}`.trim(),
    );

test('a deployment is created once for a commit, and gets its final state', async () => {
  const worker = relay([DEPLOYED]);
  see(worker, [row('a', {}), row('b', { sync: 'progressing' })], true);
  await pass(MINUTE);
  see(worker, [row('b', {})]);
  await pass(MINUTE);
  expect(deployments()).toEqual(['GET', 'POST', 'POST /7/statuses in_progress', 'POST /7/statuses success']);
});

test('a deployment that an earlier relay created without recording it is found, and no second one is created', async () => {
  answer = ({ method }) => (method === 'POST' ? { kind: 'done', value: { id: 9 }, waitMs: 0 } : found);
  const task = 'deploy:fairlead:shop';
  const found: Answer = { kind: 'done', value: [{ id: 8, sha: NEW, task }], waitMs: 0 };
  see(relay([DEPLOYED]), rowsOf(1, {}), true);
  await pass(MINUTE);
  expect(deployments()).toEqual(['GET', 'POST /8/statuses success']);
});

test('the deployment of a superseded commit is inactive', async () => {
  const worker = relay([DEPLOYED]);
  see(worker, [row('a', {}), row('b', { sync: 'progressing' })], true);
  await pass(MINUTE);
  see(worker, [row('a', { commit: NEWER }), row('b', { commit: NEWER })]);
  await pass(MINUTE);
  expect(deployments()).toContain('POST /7/statuses inactive');
});

test('`running` is sent to GitLab once, and not again with a deployment', async () => {
  const worker = relay([{ ...DEPLOYED, forge: 'gitlab' }]);
  see(worker, [row('a', {}), row('b', { commit: OLD }), row('c', { commit: OLD })], true);
  await pass(MINUTE);
  see(worker, [row('b', {})]);
  await pass(10 * MINUTE);
  see(worker, [row('c', {})]);
  await pass(MINUTE);
  expect(said()).toEqual(['running on the way to 3 hosts', '', '', 'success 3 of 3 hosts', '']);
  expect(calls.map(({ method, body }) => `${method} ${(body as { status?: string })?.status ?? ''}`.trim())).toEqual([
    'POST',
    'GET',
    'POST running',
    'POST',
    'PUT success',
  ]);
});

test('GitLab’s refusal of a state that is already set counts as success', async () => {
  answer = ({ body }) =>
    (body as { state?: string })?.state === 'running'
      ? { kind: 'unfit', status: 400, why: 'Cannot transition status', waitMs: 0 }
      : { kind: 'done', value: null, waitMs: 0 };
  const worker = relay([{ ...GITHUB, forge: 'gitlab' }]);
  see(worker, [row('a', {}), row('b', { commit: OLD })], true);
  await pass(10 * MINUTE);
  see(worker, [row('b', {})]);
  await pass(MINUTE);
  expect(said()).toEqual(['running on the way to 2 hosts', 'success 2 of 2 hosts']);
});

test('a forge that is unreachable does not delay another', async () => {
  const worker = relay([GITHUB, { ...GITHUB, forge: 'gitea', url: 'https://git.example.com' }]);
  const isGitea = ({ body }: Call) => JSON.stringify(body).length > 0 && calls.length % 2 === 0;
  answer = (call) =>
    isGitea(call) ? { kind: 'done', value: null, waitMs: 0 } : { kind: 'again', status: null, why: 'no', waitMs: 0 };
  see(worker, rowsOf(1, {}), true);
  await pass(MINUTE);
  expect(calls.length).toBeGreaterThan(1);
  expect(Object.keys(RULES)).toEqual(['github', 'gitlab', 'gitea']);
});
