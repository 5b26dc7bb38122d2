/** Behaviour of a channel that only MQTT can cause, over a broker that speaks only MQTT 3.1.1. */
import net from 'node:net';
import { Aedes } from 'aedes';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Channel } from '../../agent/core/channel.ts';
import { silentLog } from '../../agent/log.ts';
import { createMqttChannel } from '../../agent/report/mqtt/channel.ts';
import { topicsOf } from '../../agent/report/mqtt/topics.ts';
import { systemClock } from '../../agent/system/clock.ts';
import type { EventDocument } from '../../manifests-schema/payloads.ts';
import { until } from '../lab/run.ts';

const WAIT_MS = 60_000;
let broker: Aedes;
let server: net.Server;
let socket: net.Socket;
/** The number of successful connections; a broker with only MQTT 3.1.1 refuses one attempt first. */
let connections: number;
let channel: Channel;
/** Topic → last payload. */
let told: Map<string, string>;

beforeEach(async () => {
  broker = await Aedes.createBroker();
  told = new Map();
  connections = 0;
  server = net.createServer((accepted) => {
    socket = accepted;
    broker.handle(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  broker.on('client', () => {
    connections++;
  });
  broker.on('publish', ({ topic, payload }) => void told.set(topic, payload.toString()));
  const { port } = server.address() as net.AddressInfo;
  channel = createMqttChannel({
    ...{ prefix: 'p', fleet: 'f', host: 'h', instance: 'i', ref: 'main', clock: systemClock, log: silentLog },
    broker: { url: `mqtt://127.0.0.1:${port}` },
    random: () => 0,
  });
});
afterEach(async () => {
  await channel.stop();
  await new Promise<void>((resolve) => broker.close(() => server.close(() => resolve())));
});

const start = () => {
  channel.start({ opened: () => undefined, problemsChanged: () => undefined, notice: () => undefined });
  return until('the channel to open', WAIT_MS, async () => channel.isOpen());
};

test('a refused subscription is a problem that names the topic, and does not end the connection', async () => {
  broker.authorizeSubscribe = (_client, _subscription, callback) => callback(null, null);
  await start();
  await until('the problem', WAIT_MS, async () => channel.problems()[0]?.reason === 'SubscriptionRefused');
  expect(channel.problems()).toMatchObject([{ id: 'broker', message: expect.stringContaining('p/f/refs/main') }]);
  expect(await channel.send({ seq: 1 } as EventDocument)).toBe('taken');
  expect(told.get('p/f/hosts/h/presence')).toBe('online');
  expect(connections).toBe(1);
});

test('a connection that ends before the first answer is noticed at once, and the channel reconnects', async () => {
  broker.authorizePublish = (_client, packet, callback) => {
    if (connections === 1 && packet.topic.endsWith('/presence')) socket.destroy();
    else callback(null);
  };
  await start();
  expect(connections).toBe(2);
  expect(channel.problems()).toEqual([]);
});

test('a stop during a connection attempt ends it', async () => {
  channel.start({ opened: () => undefined, problemsChanged: () => undefined, notice: () => undefined });
  await channel.stop();
  await until('no connections', WAIT_MS, async () => broker.connectedClients === 0);
});

test('topics: a pattern and the default branch subscribe to every ref, and filter what they receive', () => {
  const of = (ref: string) => topicsOf({ prefix: 'p', fleet: 'f', host: 'h', ref });
  expect(of('main')).toMatchObject({ presence: 'p/f/hosts/h/presence', events: 'p/f/hosts/h/events' });
  expect(of('main').retained('status')).toBe('p/f/hosts/h/status');
  expect(['main', 'refs/heads/feature/x', 'v1.*', 'HEAD'].map((ref) => of(ref).notices)).toEqual([
    'p/f/refs/main',
    'p/f/refs/feature%2Fx',
    'p/f/refs/+',
    'p/f/refs/+',
  ]);
  expect(of('v1.*').isNotice('p/f/refs/v1.2')).toBe(true);
  expect(of('v1.*').isNotice('p/f/refs/v2.0')).toBe(false);
  expect(of('main').isNotice('p/f/refs/%E0%A4%A')).toBe(false);
});
