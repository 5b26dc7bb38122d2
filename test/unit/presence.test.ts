/** Presence names its author, is corrected if it has another value, and no two agents fight over a name. */
import mqtt, { type MqttClient } from 'mqtt';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Channel } from '../../agent/core/channel.ts';
import { silentLog } from '../../agent/log.ts';
import { createMqttChannel } from '../../agent/report/mqtt/channel.ts';
import { type Clock, systemClock } from '../../agent/system/clock.ts';
import type { StatusDocument } from '../../manifests-schema/payloads.ts';
import { type FakeBroker, startFakeBroker } from '../fakes/broker.ts';
import { until } from '../lab/run.ts';

const WAIT_MS = 30_000;
/** Time that passes ten times as fast. */
const SPEED = 10;
const clock: Clock = {
  now: systemClock.now,
  monotonic: () => systemClock.monotonic() * SPEED,
  sleep: (ms, signal) => systemClock.sleep(ms / SPEED, signal),
};
const PRESENCE = 'p/f/hosts/h/presence';
let broker: FakeBroker;
const channels: Channel[] = [];
const others: MqttClient[] = [];

beforeEach(async () => {
  broker = await startFakeBroker();
});
afterEach(async () => {
  for (const channel of channels.splice(0)) await channel.stop();
  for (const client of others.splice(0)) client.end(true);
  await broker.stop();
});

function agent(instance: string, clientId?: string): Channel {
  const channel = createMqttChannel({
    ...{ prefix: 'p', fleet: 'f', host: 'h', ref: 'main', instance, probeMs: 500 },
    ...{ clock, log: silentLog, random: () => 0 },
    broker: { url: broker.url, clientId },
  });
  channels.push(channel);
  channel.start({ opened: () => undefined, problemsChanged: () => undefined, notice: () => undefined });
  return channel;
}
const opened = (channel: Channel) => until('the channel to open', WAIT_MS, async () => channel.isOpen());
const isTaken = (channel: Channel) => channel.problems()[0]?.reason === 'NameTaken';
const presence = () => ({ word: broker.retained.get(PRESENCE), by: broker.users.get(PRESENCE)?.instance });
const isWrittenBy = (instance: string) =>
  until(`presence by ${instance}`, WAIT_MS, async () => presence().word === 'online' && presence().by === instance);
async function otherClient(): Promise<MqttClient> {
  const client = await mqtt.connectAsync(broker.url, { protocolVersion: 5 });
  others.push(client);
  return client;
}
const say = (client: MqttClient, word: string, by?: string) =>
  client.publishAsync(PRESENCE, word, {
    ...{ qos: 1, retain: true },
    ...(by === undefined ? {} : { properties: { userProperties: { instance: by } } }),
  });

describe('the retained presence', () => {
  test('names the agent that wrote it: online, a clean goodbye, and the will', async () => {
    const first = agent('one');
    await opened(first);
    expect(presence()).toEqual({ word: 'online', by: 'one' });
    await first.stop();
    expect(presence()).toEqual({ word: 'offline', by: 'one' });
    await opened(agent('two'));
    expect(presence()).toEqual({ word: 'online', by: 'two' });
    const words: { word: string; by: unknown }[] = [];
    const client = await otherClient();
    client.on(
      'message',
      (_topic, payload, { properties }) =>
        void words.push({ word: payload.toString(), by: properties?.userProperties?.instance }),
    );
    await client.subscribeAsync(PRESENCE);
    broker.cutAllBut(client.options.clientId ?? '');
    await until('the will', WAIT_MS, async () => words.some(({ word }) => word === 'offline'));
    expect(words.find(({ word }) => word === 'offline')).toEqual({ word: 'offline', by: 'two' });
    await isWrittenBy('two');
  });

  test.each<[string, (client: MqttClient) => Promise<unknown>]>([
    ['`offline` by another client', (client) => say(client, 'offline')],
    ['the late will of an earlier agent', (client) => say(client, 'offline', 'before')],
    ['empty, because somebody deleted it', (client) => say(client, '')],
    ['an invalid value', (client) => say(client, 'x'.repeat(1_000))],
    ['`online` without an author', (client) => say(client, 'online')],
    ['`online` by an agent that is gone', (client) => say(client, 'online', 'before')],
  ])('is corrected if it is %s, over the same connection', async (_what, act) => {
    const channel = agent('one');
    await opened(channel);
    const client = await otherClient();
    // Until the agent has subscribed: then it answers. Earlier questions have no receiver.
    const word = '0'.repeat(32);
    let isHeard = false;
    client.on('message', (_t, payload) => {
      isHeard ||= payload.toString() === word;
    });
    await client.subscribeAsync('p/f/hosts/h/presence/answers');
    await until('an answer', WAIT_MS, async () => {
      await client.publishAsync('p/f/hosts/h/presence/ask', word, { qos: 1 });
      return isHeard;
    });
    await act(client);
    await isWrittenBy('one');
    expect(channel.isOpen()).toBe(true);
    expect(channel.problems()).toEqual([]);
  });

  test('never expires, and neither does the index; a status without updates expires after a month', async () => {
    const channel = agent('one');
    await opened(channel);
    await channel.retain('status', {} as unknown as StatusDocument);
    await channel.retain('resources', { schema: 1, resources: [] });
    expect([...broker.retained.keys()]).toContain(`p/f/index/aa/h`);
    expect([...broker.expiries]).toEqual([['p/f/hosts/h/status', 30 * 86_400]]);
  });

  test('is published again to a broker that lost it', async () => {
    await opened(agent('one'));
    broker.retained.clear();
    broker.users.clear();
    broker.cut();
    await isWrittenBy('one');
  });
});

describe('a broker that carries no user properties', () => {
  test('gets the presence once more, and no more often', async () => {
    broker.carriesProperties = false;
    const client = await otherClient();
    let words = 0;
    client.on('message', (topic) => void (topic === PRESENCE && words++));
    await client.subscribeAsync(PRESENCE);
    const channel = agent('one');
    await opened(channel);
    await until('the second publication', WAIT_MS, async () => words === 2);
    // An agent that took its own presence for another one's would have published it again by now.
    await clock.sleep(4_000);
    expect(words).toBe(2);
    expect(channel.problems()).toEqual([]);
    await say(client, 'offline');
    await until('the corrected presence', WAIT_MS, async () => presence().word === 'online');
  });
});

describe('two agents under one name', () => {
  const settled = async (first: Channel, second: Channel) => {
    await until('one of them to yield', WAIT_MS, async () => isTaken(first) || isTaken(second));
    await until('the other one', WAIT_MS, async () => (isTaken(first) ? second : first).isOpen());
  };

  test('with two client ids: the first notices the second and leaves it the name, without publishing `offline`', async () => {
    const first = agent('one', 'id-1');
    await opened(first);
    await isWrittenBy('one');
    const words: string[] = [];
    const client = await otherClient();
    client.on('message', (_topic, payload, { retain }) => void (retain || words.push(payload.toString())));
    await client.subscribeAsync(PRESENCE);
    const second = agent('two', 'id-2');
    await until('the first to yield', WAIT_MS, async () => isTaken(first));
    // Its presence may reach the first agent before the broker's acknowledgement reaches the second.
    await opened(second);
    expect(second.problems()).toEqual([]);
    expect(presence()).toEqual({ word: 'online', by: 'two' });
    expect(words).not.toContain('offline');
    await second.stop();
    await until('the first to be back', WAIT_MS, async () => first.isOpen());
    expect(first.problems()).toEqual([]);
    await isWrittenBy('one');
  });

  test('that start together end with one of them', async () => {
    const [first, second] = [agent('one', 'id-1'), agent('two', 'id-2')];
    await settled(first, second);
  });

  test('over MQTT 3.1.1, which does not report a session take-over, end with one of them', async () => {
    broker.isOld = true;
    const [first, second] = [agent('one'), agent('two')];
    await settled(first, second);
  });

  test('over MQTT 3.1.1 with two client ids end with one of them', async () => {
    broker.isOld = true;
    const first = agent('one', 'id-1');
    await opened(first);
    // Until it has subscribed, so that it notices the other one.
    const client = await somebody311();
    await say311(client, 'offline');
    await until('the corrected presence', WAIT_MS, async () => presence().word === 'online');
    await clock.sleep(5_500);
    const second = agent('two', 'id-2');
    await until('the first to yield', WAIT_MS, async () => isTaken(first));
    // Its presence may reach the first agent before the broker's acknowledgement reaches the second.
    await opened(second);
    expect(presence().word).toBe('online');
  });
});

async function somebody311(): Promise<MqttClient> {
  const client = await mqtt.connectAsync(broker.url, { protocolVersion: 4 });
  others.push(client);
  return client;
}
const say311 = (client: MqttClient, word: string) => client.publishAsync(PRESENCE, word, { qos: 1, retain: true });
