import net from 'node:net';
import { Aedes } from 'aedes';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { silentLog } from '../../agent/log.ts';
import { createReporter, type Reporter } from '../../agent/report/reporter.ts';
import type { Outbox } from '../../agent/store/outbox.ts';
import { systemClock } from '../../agent/system/clock.ts';
import type { StatusDocument } from '../../manifests-schema/payloads.ts';
import { until } from '../lab/run.ts';

let broker: Aedes;
let server: net.Server;
let socket: net.Socket;
/** How often the reporter was let in; a broker that speaks MQTT 3.1.1 alone refuses it once before. */
let connections: number;
let reporter: Reporter;
let outbox: number[];
/** A run is at work. */
let busy: boolean;
/** Topic → last payload. */
let told: Map<string, string>;
let events: number[];

beforeEach(async () => {
  broker = await Aedes.createBroker();
  [outbox, events, told, connections, busy] = [[], [], new Map(), 0, false];
  server = net.createServer((accepted) => {
    socket = accepted;
    broker.handle(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  broker.on('client', () => {
    connections++;
  });
  broker.on('publish', ({ topic, payload }) => {
    told.set(topic, payload.toString());
    if (topic.endsWith('/events')) events.push((JSON.parse(payload.toString()) as { seq: number }).seq);
  });
  const { port } = server.address() as net.AddressInfo;
  reporter = createReporter({
    ...{ prefix: 'p', fleet: 'f', host: 'h', instance: 'i', ref: 'main', clock: systemClock, log: silentLog },
    broker: { url: `mqtt://127.0.0.1:${port}` },
    random: () => 0,
    outbox: {
      peek: (limit: number) => outbox.slice(0, limit).map((seq) => ({ seq })),
      ack: (seq: number) => outbox.splice(outbox.indexOf(seq), 1),
    } as unknown as Outbox,
    status: () => ({ reasons: reporter.problems().map((p) => p.reason) }) as unknown as StatusDocument,
    resources: () => [],
    busy: () => busy,
    onPush: () => undefined,
  });
});
afterEach(async () => {
  await reporter.stop();
  await new Promise<void>((resolve) => broker.close(() => server.close(() => resolve())));
});

const status = () => JSON.parse(told.get('p/f/hosts/h/status') ?? '{}') as { reasons?: string[] };

test('a refused subscription is a problem that is said, and no reason to leave', async () => {
  broker.authorizeSubscribe = (_client, _subscription, callback) => callback(null, null);
  reporter.start();
  await until('the problem', 10_000, async () => status().reasons?.[0] === 'SubscriptionRefused');
  expect(reporter.problems().map((p) => p.message)).toEqual([expect.stringContaining('p/f/refs/main')]);
  outbox.push(1, 2);
  reporter.changed();
  await reporter.flushed(10_000);
  expect([events, outbox, connections, told.get('p/f/hosts/h/presence')]).toEqual([[1, 2], [], 1, 'online']);
});

test('a connection that ends before the first answer is noticed at once, and made anew', async () => {
  broker.authorizePublish = (_client, packet, callback) => {
    if (connections === 1 && packet.topic.endsWith('/presence')) socket.destroy();
    else callback(null);
  };
  reporter.start();
  await until('the second connection', 10_000, async () => status().reasons !== undefined);
  expect([connections, status().reasons, reporter.problems()]).toEqual([2, [], []]);
});

test('what was being sent when the connection ended is sent on the next one, in order', async () => {
  outbox.push(...Array.from({ length: 120 }, (_, i) => i + 1));
  broker.authorizePublish = (_client, packet, callback) => {
    if (connections === 1 && packet.topic.endsWith('/events') && events.length === 60) socket.destroy();
    else callback(null);
  };
  reporter.start();
  await until('all events', 20_000, async () => outbox.length === 0);
  expect([...new Set(events)]).toEqual(Array.from({ length: 120 }, (_, i) => i + 1));
  expect(connections).toBe(2);
});

test('many events give way to a run for a while; what is retained does not', async () => {
  outbox.push(...Array.from({ length: 120 }, (_, i) => i + 1));
  busy = true;
  const began = performance.now();
  reporter.start();
  await until('the first batch', 10_000, async () => events.length === 50);
  told.delete('p/f/hosts/h/status');
  reporter.changed();
  await until('the status', 10_000, async () => told.has('p/f/hosts/h/status'));
  expect(events.length).toBe(50);
  await until('the second batch', 10_000, async () => events.length === 100);
  expect(performance.now() - began).toBeGreaterThan(2_000);
  busy = false;
  await until('all events', 10_000, async () => outbox.length === 0);
});

test('a stop while the connection is being made ends it', async () => {
  reporter.start();
  await reporter.stop();
  await until('nobody to be connected', 10_000, async () => broker.connectedClients === 0);
});
