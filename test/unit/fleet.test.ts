import { createHash } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { sliceOf } from '../../agent/core/reporting/fleet-index.ts';
import { readFleet } from '../../agent/fleet/client.ts';
import { forgetHosts } from '../../agent/fleet/forget.ts';
import { notify } from '../../agent/fleet/notify.ts';
import {
  commitSpread,
  type Filter,
  type FleetRow,
  foldMessage,
  isWell,
  select,
} from '../../agent/fleet/reader/model.ts';
import type { StatusDocument } from '../../manifests-schema/payloads.ts';
import { type FakeBroker, startFakeBroker } from '../fakes/broker.ts';

const status = (host: string): StatusDocument => ({
  ...{ schema: 1, host, fleet: 'f', at: '2026-11-24T08:00:00.000Z', seq: 1, sync: 'synced', health: 'healthy' },
  ...{ reason: '', message: '', mode: 'enforce', gate: null, pin: null, desired: null, applied: null, lastGood: null },
  ...{ bad: [], run: null, problems: [], problemsTotal: 0, warnings: [], warningsTotal: 0, labels: {}, next: null },
  resources: { total: 0, synced: 0, outOfSync: 0, failed: 0, held: 0 },
  facts: { os: 'Debian 12', arch: 'x64', kernel: '6', addresses: [] },
  agent: { version: '1', startedAt: '2026-11-24T08:00:00.000Z', instance: 'i' },
});

let broker: FakeBroker;
beforeEach(async () => {
  broker = await startFakeBroker();
});
afterEach(() => broker.stop());

const reading = (more: { maxBytes?: number; timeoutMs?: number; hosts?: readonly string[] } = {}) =>
  readFleet({ broker: { url: broker.url }, prefix: 'p', fleet: 'f', quietMs: 50, ...more });
const read = async (more: Parameters<typeof reading>[0] = {}) => (await reading(more)).rows;
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const indexOf = (host: string) => `p/f/index/${sliceOf(host, sha256)}/${host}`;
const join = (host: string) => say(indexOf(host), host);
const say = (topic: string, payload: string) => void broker.retained.set(topic, payload);
/** A host that has published all of its topics. */
function report(host: string): void {
  join(host);
  say(`p/f/hosts/${host}/presence`, 'online');
  say(`p/f/hosts/${host}/status`, JSON.stringify(status(host)));
}

test('a fleet is read from retained messages; a status of another version is marked as such', async () => {
  for (const host of ['a', 'b']) join(host);
  say('p/f/hosts/a/status', JSON.stringify(status('a')));
  say('p/f/hosts/a/presence', 'online');
  say('p/f/hosts/b/status', '{"schema":2}');
  say('p/f/hosts/b/presence', 'offline');
  // Hosts that need attention come first.
  expect(await read()).toMatchObject([
    { host: 'b', presence: 'offline', sync: 'unknown', reason: 'UnreadableStatus' },
    { host: 'a', presence: 'online', sync: 'synced', health: 'healthy' },
  ]);
});

test('a host without messages, or with some missing, has a row that says so', async () => {
  for (const host of ['a', 'b', 'c']) join(host);
  say('p/f/hosts/a/presence', 'online');
  say('p/f/hosts/b/status', JSON.stringify(status('b')));
  expect(await read()).toMatchObject([
    { host: 'a', presence: 'online', reason: 'NotDelivered', message: expect.stringMatching(/gave no status/) },
    { host: 'b', sync: 'synced', reason: 'NotDelivered', message: expect.stringMatching(/gave no presence/) },
    { host: 'c', presence: 'unknown', reason: 'NotDelivered' },
  ]);
});

test('a host name counts only in its own slice, and a host that is in no index has no row', async () => {
  say(indexOf('a'), 'a');
  say(`p/f/index/${sliceOf('a', sha256)}/b`, 'b');
  say(`p/f/index/${sliceOf('c', sha256)}/c`, 'another');
  say('p/f/hosts/d/presence', 'online');
  expect((await read()).map(({ host }) => host)).toEqual(['a']);
});

test('with a list of names, only those hosts are read', async () => {
  for (const host of ['a', 'b']) join(host);
  say('p/f/hosts/b/presence', 'online');
  say('p/f/hosts/b/status', JSON.stringify(status('b')));
  expect(await reading({ hosts: ['b', 'gone'] })).toMatchObject({
    way: 'list',
    rows: [
      { host: 'gone', reason: 'NotDelivered' },
      { host: 'b', sync: 'synced' },
    ],
  });
});

test.each(['refused', 'kept back'])('if marks are %s, the fleet is read completely', async (what) => {
  const isMark = (topic: string) => topic.startsWith('p/f/replies/');
  if (what === 'refused') broker.refuses = isMark;
  else broker.keepsBack = isMark;
  for (const host of ['a', 'b']) report(host);
  expect((await read()).map(({ host, sync }) => [host, sync])).toEqual([
    ['a', 'synced'],
    ['b', 'synced'],
  ]);
});

test('a broker that delivers nothing to a wildcard is distinguished from an empty fleet', async () => {
  expect(await read()).toEqual([]);
  report('a');
  broker.givesToWildcards = false;
  await expect(read()).rejects.toMatchObject({
    code: 'BrokerUnreachable',
    message: expect.stringMatching(/exact topics alone.*--hosts FILE/),
  });
  expect(await read({ hosts: ['a'] })).toMatchObject([{ host: 'a', sync: 'synced' }]);
  expect([...broker.retained.keys()].filter((topic) => topic.includes('replies'))).toEqual([]);
});

test('a broker that sends retained messages after its acknowledgement is detected, and waited for', async () => {
  broker.lateMs = 20;
  for (let i = 0; i < 200; i++) report(`h${i}`);
  const rows = await read();
  expect(rows).toHaveLength(200);
  expect(rows.filter((row) => !isWell(row))).toEqual([]);
});

test.each([1_000, 380, 200])('1,000 hosts are read completely through a queue of %i messages', async (queue) => {
  broker.queue = queue;
  const names = Array.from({ length: 1_000 }, (_, i) => `h${i}`);
  for (const host of names) report(host);
  const rows = await read();
  expect(rows.filter((row) => !isWell(row))).toEqual([]);
  expect(rows.map(({ host }) => host)).toEqual(names.sort());
});

test('a host that is gone is removed completely; one that is online is left alone', async () => {
  for (const host of ['gone', 'alive']) report(host);
  say('p/f/hosts/gone/presence', 'offline');
  say('p/f/hosts/gone/resources', '{}');
  const forget = (...hosts: string[]) => forgetHosts({ broker: { url: broker.url }, prefix: 'p', fleet: 'f', hosts });
  expect(await forget('gone', 'alive', 'nobody')).toEqual([
    { host: 'gone', result: 'forgotten' },
    { host: 'alive', result: 'online' },
    { host: 'nobody', result: 'unknown' },
  ]);
  expect([...broker.retained.keys()].filter((topic) => topic.includes('gone'))).toEqual([]);
  expect((await read()).map(({ host }) => host)).toEqual(['alive']);
});

test('a broker that never acknowledges, or disconnects, ends forget and notify in time', async () => {
  for (const host of ['gone']) report(host);
  say('p/f/hosts/gone/presence', 'offline');
  const at = { broker: { url: broker.url }, prefix: 'p', fleet: 'f', timeoutMs: 1_000 };
  const told = () => notify({ ...at, ref: 'main', commit: 'c'.repeat(40) });
  broker.leavesOpen = (topic) => topic.includes('/hosts/') || topic.includes('/refs/');
  const late = {
    code: 'PublishFailed',
    message: expect.stringMatching(/has not answered a message on .* for 1 s; try again/),
  };
  await Promise.all([
    expect(forgetHosts({ ...at, hosts: ['gone'] })).rejects.toMatchObject(late),
    expect(told()).rejects.toMatchObject(late),
  ]);
  broker.leavesOpen = (topic) => {
    if (topic.includes('/refs/')) broker.cut();
    return true;
  };
  await expect(told()).rejects.toMatchObject({ code: 'BrokerUnreachable', message: expect.stringMatching(/closed/) });
});

test('rows are selected by name, label, state and by being behind', () => {
  const rows = new Map<string, FleetRow>();
  const of = (host: string, more: object) =>
    foldMessage(rows, `p/f/hosts/${host}/status`, JSON.stringify({ ...status(host), ...more }));
  const at = (commit: string, committedAt: string) => ({ ref: 'main', commit, subject: '', author: '', committedAt });
  of('a-1', { desired: at('new', '2026-02-02T00:00:00Z'), applied: { commit: 'new' }, labels: { site: 'x' } });
  of('a-2', { desired: at('new', '2026-02-02T00:00:00Z'), applied: { commit: 'old' }, sync: 'held' });
  of('b-1', { desired: at('old', '2026-01-01T00:00:00Z'), applied: { commit: 'old' } });
  of('c-1', { desired: at('new', '2026-02-02T00:00:00Z'), applied: { commit: 'changed nothing since' } });
  const all = [...rows.values()];
  const chosen = (filter: Partial<Filter>) =>
    select(all, { labels: [], behind: false, ...filter }).map(({ host }) => host);
  expect(chosen({})).toEqual(['a-1', 'a-2', 'b-1', 'c-1']);
  expect(chosen({ host: 'a-*' })).toEqual(['a-1', 'a-2']);
  expect(chosen({ labels: [['site', 'x']] })).toEqual(['a-1']);
  expect(chosen({ labels: [['site', 'y']] })).toEqual([]);
  expect(chosen({ state: 'held' })).toEqual(['a-2']);
  expect(chosen({ behind: true })).toEqual(['a-2', 'b-1']);
  expect(commitSpread(all)).toEqual([
    { commit: 'new', hosts: 2 },
    { commit: 'old', hosts: 2 },
  ]);
});

test('a status with keys and words of a newer agent is read as far as a row needs it', () => {
  const rows = new Map<string, FleetRow>();
  const newer = { ...status('a'), sync: 'awaiting-review', drift: { count: 3 }, facts: 'elsewhere' };
  foldMessage(rows, 'p/f/hosts/a/status', JSON.stringify(newer));
  expect(rows.get('a')).toMatchObject({ sync: 'awaiting-review', health: 'healthy', reason: '', at: newer.at });
});

test('a broker that sends without end is disconnected before it has filled the memory', async () => {
  for (let host = 0; host < 20; host++) {
    join(`h${host}`);
    say(`p/f/hosts/h${host}/status`, JSON.stringify(status(`h${host}`)));
  }
  expect(await read()).toHaveLength(20);
  await expect(read({ maxBytes: 5_000 })).rejects.toMatchObject({
    code: 'BrokerUnreachable',
    message: expect.stringMatching(/sent more than 5000 bytes/),
  });
});

test('an empty fleet has no rows, a fleet without read permission is an error', async () => {
  expect(await read()).toEqual([]);
  broker.refuses = () => true;
  await expect(read()).rejects.toMatchObject({
    code: 'BrokerUnreachable',
    message: expect.stringMatching(/does not let this user subscribe/),
  });
});

test('a broker that disconnects in the middle is an error, not the end of the list', async () => {
  broker.refuses = (filter) => {
    if (filter.includes('/index/')) broker.cut();
    return false;
  };
  await expect(read()).rejects.toMatchObject({ code: 'BrokerUnreachable', message: expect.stringMatching(/closed/) });
});

test('a broker that disconnects during its test, or never acknowledges, is an error in time', async () => {
  broker.refuses = (filter) => {
    if (filter.includes('/sample/')) broker.cut();
    return false;
  };
  await expect(read()).rejects.toMatchObject({ code: 'BrokerUnreachable', message: expect.stringMatching(/closed/) });
  broker.refuses = () => false;
  broker.leavesOpen = (topic) => topic.includes('/sample/');
  await expect(read({ timeoutMs: 500 })).rejects.toMatchObject({
    code: 'BrokerUnreachable',
    message: expect.stringMatching(/after 0\.5 s/),
  });
});

test('a slice with more names than fit into a portion is read completely', async () => {
  const names: string[] = [];
  for (let i = 0; names.length < 250; i++) if (sliceOf(`h${i}`, sha256) === '00') names.push(`h${i}`);
  for (const host of names) report(host);
  expect(await read()).toHaveLength(250);
});

test('messages on other topics change nothing', () => {
  const rows = new Map<string, FleetRow>();
  for (const topic of ['p/f/hosts/a/metrics', 'x', '', '/presence']) foldMessage(rows, topic, 'online');
  foldMessage(rows, 'p/f/hosts/a/presence', 'asleep');
  expect(rows.size).toBe(0);
});
