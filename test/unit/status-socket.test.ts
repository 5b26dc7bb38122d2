/**
 * A hostile member of group `fairlead` on the real sockets: what they can cost the daemon, and that root is served nevertheless.
 */
import { rmSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createAgentApi } from '../../agent/control/api.ts';
import type { HistoryDocument } from '../../agent/control/protocol.ts';
import { createControlServer } from '../../agent/control/server.ts';
import { MAX_CONNECTIONS } from '../../agent/control/traffic.ts';
import { findId } from '../../agent/core/reporting/find-id.ts';
import { silentLog } from '../../agent/log.ts';
import { openStore, type Store } from '../../agent/store/db.ts';
import { heldBytes } from '../held.ts';
import { inMemory } from '../scratch.ts';

const RUNS = 3_000;
const hex = (n: number) => n.toString(16).padStart(40, 'a');
let dir: string;
let store: Store;
let server: ReturnType<typeof createControlServer>;
const logged: string[] = [];
const seen: (() => void)[] = [];

beforeAll(async () => {
  dir = inMemory('status');
  store = openStore({ dir: path.join(dir, 'state'), now: () => new Date(), log: silentLog });
  const commits = Array.from({ length: 50 }, (_, i) => ({
    ...{ commit: hex(i), author: 'A <a@example.com>', subject: 'x'.repeat(100), committedAt: 't', touched: true },
  }));
  for (let i = 0; i < RUNS; i++) {
    const startedAt = new Date(Date.UTC(2026, 0, 1) + i * 60_000).toISOString();
    const id = store.runs.begin('schedule', startedAt);
    const commit = { ref: 'main', commit: hex(1_000 + i), author: 'A', subject: 's', committedAt: 't', commits };
    const rest = {
      durationMs: 1,
      sync: 'synced',
      reason: '',
      message: '',
      changed: 1,
      failed: 0,
      repaired: 0,
    } as const;
    store.runs.finish({ id, trigger: 'schedule', startedAt, commit, ...rest }, [], []);
  }
  const api = createAgentApi({
    deps: { store, clock: { now: () => new Date() }, redact: (value: unknown) => value } as never,
    identity: { host: 'a', fleet: 'f', labels: {}, version: '1', startedAt: '', instance: 'i' },
    facts: { os: '', arch: '', kernel: '', addresses: [] },
    problems: () => [],
    loop: () => ({ next: () => null, running: () => false }) as never,
    refresh: async () => undefined,
    localCheckout: () => Promise.reject(new Error('none')),
    kept: { list: () => [] },
  });
  const log = { ...silentLog, error: (_: unknown, message: string) => void logged.push(message) };
  const metrics = async () => ({ type: 'text/plain; version=0.0.4', text: 'fairlead_info 1\n' });
  server = createControlServer({ api: () => ({ ...api, metrics }), dir, statusGid: null, log });
  await server.start();
});
afterAll(async () => {
  for (const end of seen) end();
  await server.stop();
  store.close();
  rmSync(dir, { recursive: true });
});

interface Answer {
  status: number;
  text: string;
}
const ask = (socket: string, address: string, agent = new http.Agent()): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const request = http.get({ socketPath: path.join(dir, socket), path: address, agent }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
      response.on('error', reject);
    });
    request.on('error', reject);
  });
const runsOf = ({ text }: Answer) => (JSON.parse(text) as HistoryDocument).runs.map((r) => r.id);

test('a commit is 4 to 40 hex digits: no pattern reaches the database', async () => {
  const bad = [`%250${'_'.repeat(5_000)}Q`, 'abc', 'abcg', 'a'.repeat(41), '%25%25%25%25', '____'];
  for (const commit of bad)
    expect((await ask('status.sock', `/v1/history?commit=${commit}`)).status, commit.slice(0, 10)).toBe(400);
  expect(runsOf(await ask('status.sock', `/v1/history?commit=${hex(1_007)}`))).toEqual([8]);
  // A commit that was fetched only with others is found in all runs that saw it; digits may be in either case.
  expect(runsOf(await ask('status.sock', `/v1/history?commit=${hex(7).toUpperCase()}&limit=3`))).toHaveLength(3);
  expect(runsOf(await ask('status.sock', '/v1/history?commit=bbbb'))).toEqual([]);
});

test('a page has at most a thousand runs, and the next one begins where it ended', async () => {
  const first = runsOf(await ask('status.sock', '/v1/history?limit=100000'));
  expect(first).toEqual(Array.from({ length: 1_000 }, (_, i) => RUNS - i));
  expect(runsOf(await ask('status.sock', `/v1/history?limit=2&before=${first.at(-1)}`))).toEqual([2_000, 1_999]);
  for (const limit of ['-1', 'x', '1.5', '1e400'])
    expect((await ask('status.sock', `/v1/history?limit=${limit}`)).status, limit).toBe(400);
});

test('a long query yields: other requests are answered while it runs', async () => {
  // It matches nothing, so that all of the history is searched.
  const long = ask('status.sock', '/v1/history?commit=bbbbbbbb&resource=file:/nowhere');
  let ended = false;
  void long.then(() => {
    ended = true;
  });
  let between = 0;
  while (!ended) if ((await ask('agent.sock', '/v1/version')).status === 200 && !ended) between++;
  expect(runsOf(await long)).toEqual([]);
  expect(between).toBeGreaterThan(0);
});

test('clients that send much and read nothing are throttled, and take no memory', async () => {
  const before = heldBytes();
  const statuses: string[] = [];
  const sockets = Array.from({ length: 25 }, () => {
    const socket = net.connect(path.join(dir, 'status.sock'));
    socket.on('error', () => undefined);
    socket.write('GET /v1/history?limit=1000 HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(4));
    // Only the beginning of the response.
    socket.once('data', (chunk: Buffer) => {
      statuses.push(chunk.toString('latin1').slice(9, 12));
      socket.pause();
    });
    return socket;
  });
  await expect.poll(() => statuses.length).toBe(25);
  expect(new Set(statuses)).toEqual(new Set(['200', '503']));
  // It was 1.4 GB without a limit.
  expect(heldBytes() - before).toBeLessThan(100e6);
  expect((await ask('agent.sock', '/v1/history?limit=1000')).status).toBe(200);
  for (const socket of sockets) socket.destroy();
  await expect.poll(async () => (await ask('status.sock', '/v1/history?limit=10')).status).toBe(200);
});

test("feeds and connections of a member do not count against root's", async () => {
  const feed = (socket: string) =>
    new Promise<number>((resolve) => {
      const request = http.get({ socketPath: path.join(dir, socket), path: '/v1/events', agent: false }, (response) => {
        seen.push(() => request.destroy());
        resolve(response.statusCode ?? 0);
      });
      request.on('error', () => resolve(0));
    });
  const taken = await Promise.all(Array.from({ length: 40 }, () => feed('status.sock')));
  expect(taken.filter((status) => status === 200)).toHaveLength(32);
  expect(taken.filter((status) => status === 503)).toHaveLength(8);
  expect(await feed('agent.sock')).toBe(200);
  const idle = Array.from({ length: MAX_CONNECTIONS }, () =>
    net.connect(path.join(dir, 'status.sock')).on('error', () => undefined),
  );
  for (const socket of idle) seen.push(() => void socket.destroy());
  await Promise.any(idle.map((socket) => new Promise((resolve) => socket.once('close', resolve))));
  expect((await ask('agent.sock', '/v1/status')).status).toBe(200);
});

test('a malformed request target is the client’s error, and no line of the log', async () => {
  for (const end of seen.splice(0)) end();
  await expect
    .poll(async () => (await ask('status.sock', '/v1/version').catch(() => ({ status: 0 }))).status)
    .toBe(200);
  for (const address of ['//', '/v1/history/%zz', '/v1/history/9999999999999999999', `/v1/ids?like=${'a'.repeat(300)}`])
    expect((await ask('status.sock', address)).status, address).toBeGreaterThanOrEqual(400);
  expect(logged).toEqual([]);
});

test('suggestions among very many ids take little time', () => {
  const ids = Array.from({ length: 20_000 }, (_, i) => `file:/etc/application/conf.d/section-${i}/settings.conf`);
  const began = process.cpuUsage();
  const like = 'file:/etc/applicatoin/conf.d/section-12345/settinsg.cnof'.slice(0, 256);
  expect(findId(like, ids).matches).toEqual([]);
  expect(process.cpuUsage(began).user / 1e6).toBeLessThan(1);
});
