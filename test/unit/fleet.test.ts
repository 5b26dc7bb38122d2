import net from 'node:net';
import { Aedes } from 'aedes';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readFleet } from '../../agent/fleet/client.ts';
import { type FleetRow, foldMessage } from '../../agent/fleet/model.ts';
import type { StatusDocument } from '../../manifests-schema/payloads.ts';

const status = (host: string): StatusDocument => ({
  ...{ schema: 1, host, fleet: 'f', at: '2026-11-24T08:00:00.000Z', seq: 1, sync: 'synced', health: 'healthy' },
  ...{ reason: '', message: '', mode: 'enforce', gate: null, pin: null, desired: null, applied: null, lastGood: null },
  ...{ bad: [], run: null, problems: [], problemsTotal: 0, warnings: [], warningsTotal: 0, labels: {}, next: null },
  resources: { total: 0, synced: 0, outOfSync: 0, failed: 0, held: 0 },
  facts: { os: 'Debian 12', arch: 'x64', kernel: '6', addresses: [] },
  agent: { version: '1', startedAt: '2026-11-24T08:00:00.000Z', instance: 'i' },
});

let broker: Aedes;
let server: net.Server;
let sockets: net.Socket[];
beforeEach(async () => {
  broker = await Aedes.createBroker();
  sockets = [];
  server = net.createServer((socket) => {
    sockets.push(socket);
    broker.handle(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterEach(async () => {
  await new Promise<void>((resolve) => broker.close(() => server.close(() => resolve())));
});

const read = (more: { maxBytes?: number } = {}) => {
  const { port } = server.address() as net.AddressInfo;
  return readFleet({ broker: { url: `mqtt://127.0.0.1:${port}` }, prefix: 'p', fleet: 'f', ...more });
};
const say = (topic: string, payload: string) =>
  new Promise<void>((resolve, reject) =>
    broker.publish({ cmd: 'publish', qos: 1, dup: false, retain: true, topic, payload }, (error) =>
      error ? reject(error) : resolve(),
    ),
  );

test('a fleet is read from what is retained; a status of another version is said to be one', async () => {
  await say('p/f/hosts/a/status', JSON.stringify(status('a')));
  await say('p/f/hosts/a/presence', 'online');
  await say('p/f/hosts/b/status', '{"schema":2}');
  expect(await read()).toMatchObject([
    { host: 'a', presence: 'online', sync: 'synced', health: 'healthy' },
    { host: 'b', presence: 'unknown', sync: 'unknown', reason: 'UnreadableStatus' },
  ]);
});

test('a status with keys and words that a newer agent has is read for what a row shows', () => {
  const rows = new Map<string, FleetRow>();
  const newer = { ...status('a'), sync: 'awaiting-review', drift: { count: 3 }, facts: 'elsewhere' };
  foldMessage(rows, 'p/f/hosts/a/status', JSON.stringify(newer));
  expect(rows.get('a')).toMatchObject({ sync: 'awaiting-review', health: 'healthy', reason: '', at: newer.at });
});

test('a broker that sends without end is left, before it has filled the memory', async () => {
  for (let host = 0; host < 20; host++) await say(`p/f/hosts/h${host}/status`, JSON.stringify(status(`h${host}`)));
  expect(await read()).toHaveLength(20);
  await expect(read({ maxBytes: 5_000 })).rejects.toMatchObject({
    code: 'BrokerUnreachable',
    message: expect.stringMatching(/sent more than 5000 bytes/),
  });
});

test('a fleet of nobody is empty, one that may not be read is an error', async () => {
  expect(await read()).toEqual([]);
  broker.authorizeSubscribe = (_client, _subscription, callback) => callback(null, null);
  await expect(read()).rejects.toMatchObject({
    code: 'BrokerUnreachable',
    message: expect.stringMatching(/does not let this user subscribe/),
  });
});

test('a broker that leaves in the middle is an error, not the end of the fleet', async () => {
  broker.authorizeSubscribe = () => {
    for (const socket of sockets) socket.destroy();
  };
  await expect(read()).rejects.toMatchObject({ code: 'BrokerUnreachable', message: expect.stringMatching(/closed/) });
});

test('messages that are none of ours change nothing', () => {
  const rows = new Map<string, FleetRow>();
  for (const topic of ['p/f/hosts/a/metrics', 'x', '', '/presence']) foldMessage(rows, topic, 'online');
  foldMessage(rows, 'p/f/hosts/a/presence', 'asleep');
  expect(rows.size).toBe(0);
});
