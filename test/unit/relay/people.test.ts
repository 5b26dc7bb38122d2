/**
 * Relays that send notifications about a fleet, with a broker and a chat server on loopback: together they send each notification
 * exactly once.
 */
import { mkdtempSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { sliceOf } from '../../../agent/core/reporting/fleet-index.ts';
import { sha256 } from '../../../agent/fleet/client.ts';
import { unknownRow } from '../../../agent/fleet/reader/model.ts';
import { readShared, sharedText } from '../../../agent/fleet/relay/kept.ts';
import { leaseWordOf } from '../../../agent/fleet/relay/lease.ts';
import { createPeople } from '../../../agent/fleet/relay/people.ts';
import { sightOfRow } from '../../../agent/fleet/relay/sight.ts';
import { takeTurns } from '../../../agent/fleet/relay/turns.ts';
import { workOnFleet } from '../../../agent/fleet/relay/work.ts';
import { type Log, silentLog } from '../../../agent/log.ts';
import { emptyMemory } from '../../../agent/notify/model/memory.ts';
import { FLEET_RULES, see, tick } from '../../../agent/notify/model/turns.ts';
import type { Clock } from '../../../agent/system/clock.ts';
import { connectBroker } from '../../../agent/system/mqtt.ts';
import { type NotificationDocument, notificationDocument } from '../../../manifests-schema/notification.ts';
import { OF_A_FLEET } from '../../../manifests-schema/notify.ts';
import { type FakeBroker, startFakeBroker } from '../../fakes/broker.ts';
import { createFasterClock } from '../../fakes/faster-clock.ts';

const turnsClock = createFasterClock(4);
const peopleClock = createFasterClock(60);

let broker: FakeBroker;
let chat: http.Server;
let url = '';
/** The name of the server in the relay's settings. */
let chatName = '';
const told: NotificationDocument[] = [];
const heard: { count: number; resolve(): void }[] = [];
const ends: (() => Promise<void>)[] = [];

beforeEach(async () => {
  broker = await startFakeBroker();
  told.length = 0;
  chat = http.createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8');
    request.on('data', (part: string) => {
      body += part;
    });
    request.on('end', () => {
      told.push(notificationDocument.parse(JSON.parse(body)));
      response.end();
      for (const one of heard.splice(0)) told.length >= one.count ? one.resolve() : heard.push(one);
    });
  });
  await new Promise<void>((resolve) => chat.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(chat.address() as AddressInfo).port}/`;
  chatName = `json (${new URL(url).host})`;
});
afterEach(async () => {
  await Promise.all(ends.splice(0).map((end) => end()));
  chat.closeAllConnections();
  chat.close();
  await broker.stop();
});

const until = async (what: string, isSo: () => boolean): Promise<void> => {
  for (const end = Date.now() + 60_000; !isSo(); await new Promise((resolve) => setTimeout(resolve, 20)))
    if (Date.now() > end) throw new Error(`waited in vain for ${what}`);
};
const messages = (count: number) =>
  told.length >= count ? Promise.resolve() : new Promise<void>((resolve) => heard.push({ count, resolve }));
const holder = () => leaseWordOf(broker.retained.get('p/f/relay/lease') ?? '')?.holder;
/** A relay that ends between the chat's answer and its own message to the other relays may send a notification again. */
const othersKnow = () =>
  until('the other relays to know', () => {
    const memory = readShared(broker.retained.get('p/f/relay/state') ?? '')?.[chatName];
    return memory !== undefined && memory.queue.length === 0 && Object.keys(memory.hosts).length > 0;
  });
const said = () =>
  told.flatMap(({ messages }) => messages.map(({ occasion, hosts }) => `${occasion} ${hosts.join(',')}`));

interface Given {
  /** Replaces the index on the broker; its answers in order. */
  listHosts?: () => readonly string[] | null;
  log?: Log;
  clock?: Clock;
}

function startRelay({ listHosts = () => null, log = silentLog, clock = peopleClock }: Given = {}): () => Promise<void> {
  const ended = new AbortController();
  const where = { broker: { url: broker.url }, prefix: 'p', fleet: 'f', log, random: Math.random };
  const file = path.join(mkdtempSync(path.join(os.tmpdir(), 'fairlead-relay-')), 'told.json');
  const destinations = [{ format: 'json' as const, url, on: [...OF_A_FLEET] }];
  const outside = { env: {}, secret: () => undefined, clock };
  const running = takeTurns(
    {
      ...where,
      clock: turnsClock,
      work: (turn, signal) =>
        workOnFleet(
          { ...where, clock, listHosts: async () => listHosts() },
          [createPeople({ ...where, ...outside, turn, destinations, file })],
          signal,
        ),
    },
    ended.signal,
  );
  const end = async () => {
    ended.abort();
    await running;
  };
  ends.push(end);
  return end;
}

const COMMIT = 'a'.repeat(40);
const statusOf = (host: string, sync: string) =>
  JSON.stringify({
    ...{ schema: 1, at: '2026-11-24T08:00:00.000Z', sync, health: 'healthy', labels: {}, applied: null },
    ...{
      reason: sync === 'failed' ? 'UnitFailed' : '',
      message: sync === 'failed' ? `unit:app.service failed on ${host}` : '',
    },
    desired: { commit: COMMIT, subject: 'shop: a new front', committedAt: '2026-11-24T07:59:00.000Z' },
  });
/** As hosts report it: retained, and received by subscribers. */
async function report(hosts: Record<string, string>): Promise<void> {
  const client = await connectBroker({ broker: { url: broker.url }, clientId: 'hosts', timeoutMs: 10_000 });
  for (const [host, sync] of Object.entries(hosts)) {
    const retain = (topic: string, payload: string) =>
      client.publishAsync(`p/f/${topic}`, payload, { qos: 1, retain: true });
    await retain(`index/${sliceOf(host, sha256)}/${host}`, host);
    await retain(`hosts/${host}/presence`, 'online');
    await retain(`hosts/${host}/status`, statusOf(host, sync));
  }
  await client.endAsync();
}

test('a relay that takes over knows the sent notifications, and sends their end', async () => {
  await report({ a: 'failed' });
  const end = startRelay();
  await messages(1);
  await othersKnow();
  const before = holder();
  startRelay();
  await end();
  // It released the lease, so that the other relay need not wait for its expiry.
  expect(before).not.toBe(null);
  expect(holder()).not.toBe(before);
  // The first notification of the second relay is the end of the first relay's.
  await report({ a: 'synced' });
  await messages(2);
  expect(said()).toEqual(['failed a', 'recovered a']);
});

test('two relays report hosts that fail by one commit once, also if the broker cuts every connection', async () => {
  await report({ a: 'failed', b: 'failed', c: 'synced' });
  startRelay();
  startRelay();
  await messages(1);
  expect(told[0]).toMatchObject({ title: '2 hosts: commit aaaaaaa failed', fleet: 'f' });
  await othersKnow();
  broker.cut();
  await report({ a: 'synced', b: 'synced' });
  await messages(2);
  expect(said()).toEqual(['failed a,b', 'recovered a,b']);
});

test('if the broker delivers nothing to wildcards, a list names the hosts, and is read again', async () => {
  broker.givesToWildcards = false;
  await report({ a: 'failed', b: 'synced', c: 'failed' });
  let list = ['a', 'b'];
  startRelay({ listHosts: () => list, clock: createFasterClock(600) });
  await messages(1);
  await othersKnow();
  expect(said()).toEqual(['failed a']);
  // `c` fails by the same commit, which is reported for further hosts after a while.
  list = ['a', 'b', 'c'];
  await messages(2);
  expect(said()).toEqual(['failed a', 'failed c']);
});

test('if the broker delivers nothing to wildcards, the log names the setting for a list of hosts', async () => {
  broker.givesToWildcards = false;
  const warned: string[] = [];
  startRelay({ log: { ...silentLog, warn: ({ error }) => warned.push(String(error)) } });
  await until('a log line about it', () => warned.length > 0);
  expect(warned[0]).toMatch(/cannot list the hosts; name them with `hosts` in relay.yaml/);
});

test('the state that relays share has no unreported trouble, and foreign content is not read', () => {
  const memory = emptyMemory(0);
  const rules = { ...FLEET_RULES, on: OF_A_FLEET, prefix: 'p' };
  const row = (host: string) => ({
    ...unknownRow(host),
    ...{ host, presence: 'online' as const, sync: 'failed', health: 'healthy', commit: COMMIT, subject: '' },
    ...{
      committedAt: null,
      applied: null,
      labels: {},
      at: '2026-11-24T08:00:00.000Z',
      reason: 'UnitFailed',
      message: 'm',
    },
  });
  see(memory, sightOfRow(row('told')), rules, 0);
  tick(memory, rules, 0);
  tick(memory, rules, 100_000);
  see(memory, sightOfRow({ ...row('new'), commit: 'b'.repeat(40) }), rules, 100_000);
  const shared = readShared(sharedText({ chat: memory }));
  expect(Object.keys(shared?.chat?.hosts ?? {})).toEqual(['told']);
  expect(shared?.chat?.queue).toEqual(memory.queue);
  for (const text of [
    '',
    'x',
    'null',
    '{"schema":2,"memories":{}}',
    '{"schema":1,"memories":{"a":{}}}',
    '{"schema":1,"memories":{"a":null}}',
  ])
    expect(readShared(text)).toBe(null);
});

test('a host that is offline, closed windows, and unreadable statuses', () => {
  const row = {
    ...unknownRow('a'),
    ...{ host: 'a', presence: 'online' as const, sync: 'held', health: 'healthy', commit: COMMIT, subject: '' },
    ...{
      committedAt: null,
      applied: null,
      labels: {},
      at: '2026-11-24T08:00:00.000Z',
      reason: 'WindowClosed',
      message: 'm',
    },
  };
  expect(sightOfRow(row).trouble).toBe('none');
  expect(sightOfRow({ ...row, reason: 'PruneLimit' }).trouble).toBe('held');
  expect(sightOfRow({ ...row, presence: 'offline' }).trouble).toBe('offline');
  expect(sightOfRow({ ...row, presence: 'unknown' }).trouble).toBe(null);
  expect(sightOfRow({ ...row, at: null }).trouble).toBe(null);
  expect(sightOfRow({ ...row, sync: 'a word of another version' }).trouble).toBe(null);
});
