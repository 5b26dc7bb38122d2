/** A broker that takes only so much: the agent sends what fits, and says what does not. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { AgentEvent, ResourceStatus } from '../../agent/core/types.ts';
import { openSocket } from '../../agent/dashboard/link/socket.ts';
import { act } from '../../agent/fleet/act/act.ts';
import { openLink, readFleet } from '../../agent/fleet/client.ts';
import { silentLog } from '../../agent/log.ts';
import { createMqttChannel } from '../../agent/report/mqtt/channel.ts';
import { createReporter, type Reporter } from '../../agent/report/reporter.ts';
import { systemClock } from '../../agent/system/clock.ts';
import { connectBroker } from '../../agent/system/mqtt.ts';
import type { StatusDocument } from '../../manifests-schema/payloads.ts';
import { type FakeBroker, startFakeBroker } from '../fakes/broker.ts';
import { until } from '../lab/run.ts';

const WAIT_MS = 30_000;
const HOST = 'p/f/hosts/h';
let broker: FakeBroker;
let reporter: Reporter | undefined;

beforeEach(async () => {
  broker = await startFakeBroker();
  reporter = undefined;
});
afterEach(async () => {
  await reporter?.stop();
  await broker.stop();
});

const eventOf = (seq: number, data: Record<string, unknown> = {}) =>
  ({ seq, id: `e-${seq}`, at: '2026-01-01T00:00:00.000Z', type: 'run', run: 1, data }) as AgentEvent;

/** Reports these events, and a hundred resources in about 8 kB. @returns the outbox, and the events that arrived */
function report(events: AgentEvent[]) {
  const arrived: { seq: number; type: string; data: unknown }[] = [];
  broker.onPublish = (topic, payload) => {
    if (topic === `${HOST}/events`) arrived.push(JSON.parse(payload));
  };
  const common = { host: 'h', fleet: 'f', clock: systemClock, log: silentLog };
  const resources = Array.from(
    { length: 100 },
    (_, i) => ({ id: `file:/etc/app/conf.d/${i}.conf`, sync: 'synced', health: 'healthy' }) as ResourceStatus,
  );
  reporter = createReporter({
    ...common,
    channel: createMqttChannel({
      ...common,
      ...{ broker: { url: broker.url }, prefix: 'p', ref: 'main', instance: 'i', random: () => 0 },
    }),
    outbox: { peek: (limit) => events.slice(0, limit), ack: () => void events.shift() },
    onNotice: () => undefined,
    status: () => ({ run: null }) as StatusDocument,
    resources: () => resources,
    history: { revision: () => 1, document: () => ({ runs: [] }) as never },
    busy: () => false,
  });
  reporter.start();
  return { arrived, reporter };
}

test('a document that is too large is a problem that names it; the others and the events go out on the same connection', async () => {
  broker.maxPacketBytes = 4_000;
  const events = [eventOf(1), eventOf(2)];
  const { reporter } = report(events);
  await until('the events', WAIT_MS, async () => events.length === 0);
  expect(reporter.problems()).toMatchObject([
    {
      reason: 'PublishRefused',
      message: expect.stringMatching(`cannot publish ${HOST}/resources: .* takes 4000; raise`),
    },
  ]);
  expect([...broker.retained.keys()]).toEqual(expect.arrayContaining([`${HOST}/status`, `${HOST}/history`]));
  expect(broker.connections).toBe(1);
});

test('an event that is too large becomes a gap, and the events after it follow', async () => {
  broker.maxPacketBytes = 4_000;
  const events = [eventOf(1), eventOf(2, { text: 'x'.repeat(4_000) }), eventOf(3)];
  const { arrived } = report(events);
  await until('the events', WAIT_MS, async () => events.length === 0);
  expect(arrived.map(({ seq, type }) => `${seq} ${type}`)).toEqual(['1 run', '2 gap', '3 run']);
  expect(arrived[1]?.data).toEqual({ from: 2, to: 2, count: 1 });
  expect(broker.connections).toBe(1);
});

test('a broker that names its limit only at the end of the connection is a problem with the topic', async () => {
  broker.maxPacketBytes = 4_000;
  broker.announcesLimits = false;
  const { reporter } = report([]);
  await until('the problem', WAIT_MS, async () => reporter.problems().length > 0);
  expect(reporter.problems()).toMatchObject([
    { reason: 'BrokerUnreachable', message: expect.stringContaining(`the message on ${HOST}/resources is larger`) },
  ]);
});

test('a packet of exactly the limit is sent, and one byte more is not', async () => {
  broker.maxPacketBytes = 200;
  const client = await connectBroker({ broker: { url: broker.url }, clientId: 'c', timeoutMs: WAIT_MS });
  const how = {
    ...{ qos: 1 as const, retain: true },
    properties: { messageExpiryInterval: 60, userProperties: { by: 'ä' }, correlationData: Buffer.from('abc') },
  };
  const around = 1 + 2 + 2 + 't'.length + 2 + 1 + 5 + 9 + 6;
  await client.publishAsync('t', 'x'.repeat(200 - around), how);
  await expect(client.publishAsync('t', 'x'.repeat(201 - around), how)).rejects.toThrow(
    'the message has 201 bytes, and the broker takes 200',
  );
  await client.publishAsync('t', 'still here', { qos: 1 });
  client.end(true);
});

describe('a broker that takes ten messages at once', () => {
  beforeEach(() => {
    broker.receiveMaximum = 10;
    broker.ackMs = 2;
  });

  test('gives the rows of the fleet', async () => {
    broker.retained.set('p/f/hosts/a/presence', 'online');
    const { rows } = await readFleet({
      ...{ broker: { url: broker.url }, prefix: 'p', fleet: 'f', quietMs: 50, hosts: ['a'] },
    });
    expect(rows).toMatchObject([{ host: 'a', presence: 'online' }]);
    expect(broker.mostInFlight).toBe(10);
  });

  test('passes a command on to 30 hosts at once', async () => {
    const hosts = Array.from({ length: 30 }, (_, i) => `h${i}`);
    broker.onPublish = (topic, payload) => {
      const host = topic.split('/')[3] ?? '';
      const { id, command } = JSON.parse(payload);
      const result = { schema: 1, id, host, command, state: 'done', reason: '', message: '' };
      broker.say(`p/f/replies/${id}`, JSON.stringify({ ...result, status: null, plan: null, pause: null, pin: null }));
    };
    const { outcomes, lost } = await act({
      ...{ link: await openLink({ url: broker.url }, 'test'), prefix: 'p', fleet: 'f', id: 'x1', hosts },
      ...{ command: 'pause', args: {}, maxParallel: 30, stopAfter: null, answerMs: WAIT_MS, resultMs: WAIT_MS },
      ...{ clock: systemClock, signal: new AbortController().signal, told: () => undefined },
    });
    expect(lost).toBeNull();
    expect(outcomes.filter(({ outcome }) => outcome === 'done')).toHaveLength(30);
    expect(broker.mostInFlight).toBeLessThanOrEqual(10);
  });

  test('keeps its connection to the page', async () => {
    const client = await openSocket({
      ...{ credentials: { broker: broker.url, username: '', password: '' }, clientId: 'page', version: 5 },
      timeoutMs: WAIT_MS,
    });
    await Promise.all(Array.from({ length: 30 }, () => client.publishAsync('t', 'x', { qos: 1 })));
    expect(broker.mostInFlight).toBe(10);
    client.end(true);
  });
});

test('messages that wait for their turn end with the connection', async () => {
  broker.receiveMaximum = 1;
  broker.leavesOpen = () => true;
  const client = await connectBroker({ broker: { url: broker.url }, clientId: 'c', timeoutMs: WAIT_MS });
  const waiting = Promise.allSettled([1, 2, 3].map(() => client.publishAsync('t', 'x', { qos: 1 })));
  await until('the first', WAIT_MS, async () => broker.mostInFlight === 1);
  broker.cut();
  expect((await waiting).map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
});
