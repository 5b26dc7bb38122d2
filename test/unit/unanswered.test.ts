/** A broker that accepts the connection, keeps it alive and does not answer: every wait for it ends. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Channel } from '../../agent/core/channel.ts';
import { notify } from '../../agent/fleet/notify.ts';
import { silentLog } from '../../agent/log.ts';
import { createMqttChannel } from '../../agent/report/mqtt/channel.ts';
import { systemClock } from '../../agent/system/clock.ts';
import { connectBroker } from '../../agent/system/mqtt.ts';
import type { EventDocument } from '../../manifests-schema/payloads.ts';
import { type FakeBroker, startFakeBroker } from '../fakes/broker.ts';
import { until } from '../lab/run.ts';

const WAIT_MS = 30_000;
const ANSWER_MS = 200;
let broker: FakeBroker;
let channel: Channel;
let openings: number;

beforeEach(async () => {
  broker = await startFakeBroker();
  openings = 0;
  channel = createMqttChannel({
    ...{ broker: { url: broker.url }, prefix: 'p', fleet: 'f', host: 'h', ref: 'main', instance: 'i' },
    ...{ clock: systemClock, log: silentLog, random: () => 0, answerMs: ANSWER_MS },
  });
});
afterEach(async () => {
  await channel.stop();
  await broker.stop();
});
const start = () =>
  channel.start({ opened: () => void openings++, problemsChanged: () => undefined, notice: () => undefined });
const opened = (times: number) => until(`opening ${times}`, WAIT_MS, async () => openings >= times && channel.isOpen());
const event = (seq: number) => ({ seq }) as EventDocument;
const UNANSWERED = [{ reason: 'BrokerUnreachable', message: expect.stringContaining('has not answered') }];

test('an event that is never acknowledged is given up; the channel reconnects', async () => {
  broker.leavesOpen = (topic) => topic.endsWith('/events');
  start();
  await opened(1);
  await expect(channel.send(event(1))).rejects.toMatchObject({
    code: 'PublishFailed',
    message: expect.stringContaining('has not answered a message on p/f/hosts/h/events'),
  });
  broker.leavesOpen = () => false;
  // On a machine that stalls for the length of the time limit, another reconnect may be needed.
  await until('the event to be accepted', WAIT_MS, async () => (await channel.send(event(1))) === 'taken');
  expect(openings).toBeGreaterThanOrEqual(2);
  await until('no problem', WAIT_MS, async () => channel.isOpen() && channel.problems().length === 0);
});

test('several waiting events each get an answer', async () => {
  broker.leavesOpen = (topic) => topic.endsWith('/events');
  start();
  await opened(1);
  const calls = await Promise.allSettled([1, 2, 3].map((seq) => channel.send(event(seq))));
  expect(calls.map((call) => call.status)).toEqual(['rejected', 'rejected', 'rejected']);
});

test('a broker that does not acknowledge the presence is a problem until it does', async () => {
  broker.isSilent = true;
  start();
  await until('the problem', WAIT_MS, async () => channel.problems().length > 0);
  expect(channel.problems()).toMatchObject(UNANSWERED);
  expect(openings).toBe(0);
  broker.isSilent = false;
  await opened(1);
  expect(channel.problems()).toEqual([]);
});

test('a broker that does not acknowledge the subscription is a problem as well', async () => {
  broker.answersNoSubscription = true;
  start();
  await until('the problem', WAIT_MS, async () => channel.problems().length > 0);
  expect(channel.problems()).toMatchObject(UNANSWERED);
  broker.answersNoSubscription = false;
  await until('the end of the problem', WAIT_MS, async () => channel.isOpen() && channel.problems().length === 0);
});

test('a stop waits three seconds at most to publish `offline`, whatever else is waited for', async () => {
  start();
  await opened(1);
  broker.isSilent = true;
  const waiting = channel.send(event(1)).catch(() => 'unsent');
  await channel.stop();
  expect(await waiting).toBe('unsent');
});

test('a connection that a person opens has the same limit', async () => {
  const client = await connectBroker({
    ...{ broker: { url: broker.url }, clientId: 'x', timeoutMs: WAIT_MS, answerMs: ANSWER_MS },
  });
  broker.isSilent = true;
  await expect(client.subscribeAsync('a')).rejects.toThrow('has not answered a subscription');
  await expect(client.publishAsync('a', 'b', { qos: 1 })).rejects.toThrow();
});

test('events that wait when the connection ends are answered at once', async () => {
  const client = await connectBroker({ broker: { url: broker.url }, clientId: 'x', timeoutMs: WAIT_MS });
  broker.leavesOpen = () => true;
  const said = client.publishAsync('a', 'b', { qos: 1 });
  broker.cut();
  await expect(said).rejects.toThrow('was lost');
});

test('a push notice that is never acknowledged ends with an error', async () => {
  broker.isSilent = true;
  const told = notify({
    ...{ broker: { url: broker.url }, prefix: 'p', fleet: 'f', ref: 'main', commit: 'a'.repeat(40), timeoutMs: 1_000 },
  });
  await expect(told).rejects.toThrow('has not answered');
});
