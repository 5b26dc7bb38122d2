/** What an attacker who may publish on the broker, or controls it, can do to a host: very little, and not for long. */
import { PassThrough } from 'node:stream';
import mqtt from 'mqtt';
import packet from 'mqtt-packet';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Channel } from '../../agent/core/channel.ts';
import { silentLog } from '../../agent/log.ts';
import { createMqttChannel } from '../../agent/report/mqtt/channel.ts';
import { type Clock, systemClock } from '../../agent/system/clock.ts';
import { TooLarge, watchPackets } from '../../agent/system/mqtt-limit.ts';
import type { EventDocument } from '../../manifests-schema/payloads.ts';
import { createMqttFarEnd } from '../channel/broker.ts';
import type { FarEnd } from '../channel/contract.ts';
import { heldBytes } from '../held.ts';
import { until } from '../lab/run.ts';

const WAIT_MS = 60_000;
/** By how much the agent's waits are shortened; what it measures is real, so that a flood is one. */
const HASTE = 5;
const clock: Clock = { ...systemClock, sleep: (ms, signal) => systemClock.sleep(ms / HASTE, signal) };
const NAME = 'p/f/hosts/h';
let far: FarEnd;
let url: string;
let channel: Channel;
let notices: number;
let openings: number;

beforeEach(async () => {
  far = await createMqttFarEnd();
  url = far.probe().address;
  [notices, openings] = [0, 0];
  channel = createMqttChannel({
    ...{ broker: { url }, prefix: 'p', fleet: 'f', host: 'h', ref: 'main', instance: 'i' },
    ...{ clock, log: silentLog, random: () => 0, probeMs: 100 },
  });
  channel.start({
    opened: () => void openings++,
    problemsChanged: () => undefined,
    notice: () => void notices++,
  });
  await until('the channel to open', WAIT_MS, async () => channel.isOpen());
});
afterEach(async () => {
  await channel.stop();
  await far.end();
});

const reasons = () => channel.problems().map((p) => p.reason);
const event = (seq: number) => ({ seq }) as EventDocument;
/** Resolves when the subscription exists. */
async function noticed(): Promise<void> {
  await until('a notice', WAIT_MS, async () => {
    far.notify('main', 'a'.repeat(40));
    return notices > 0;
  });
}
async function attacker(clientId: string): Promise<mqtt.MqttClient> {
  const client = mqtt.connect(url, { clientId, protocolVersion: 5, reconnectPeriod: 0 });
  await new Promise<void>((resolve) => client.once('connect', () => resolve()));
  return client;
}

test('a message that is too large is not accepted: the connection ends, and reports continue without push notices', async () => {
  await noticed();
  const before = heldBytes();
  far.notify('main', 'x'.repeat(150_000_000));
  await until('another connection', WAIT_MS, async () => openings === 2 && channel.isOpen());
  expect(reasons()).toEqual(['NoticesFlooded']);
  expect(await channel.send(event(1))).toBe('taken');
  // The broker of this test keeps the message twice, in this process.
  expect(heldBytes() - before).toBeLessThan(400e6);
  const heard = notices;
  far.notify('main', 'b'.repeat(40));
  expect(await channel.send(event(2))).toBe('taken');
  expect([notices, openings]).toEqual([heard, 2]);
});

test("a flood of notices is abandoned, and this host's reports continue over the same connection", async () => {
  await noticed();
  for (let i = 0; i < 20_001; i++) far.notify('main', i.toString(16).padStart(40, '0'));
  await until('the end of the flood', WAIT_MS, async () => reasons().includes('NoticesFlooded'));
  expect(notices).toBeLessThanOrEqual(20_001);
  expect(await channel.send(event(1))).toBe('taken');
  expect(openings).toBe(1);
});

test('an impostor that takes the name once, publishes `online` and disconnects does not silence the host', async () => {
  const liar = await attacker('fairlead-f-h');
  await until('the take-over', WAIT_MS, async () => reasons()[0] === 'NameTaken');
  await liar.publishAsync(`${NAME}/presence`, 'online', { qos: 1, retain: true });
  await liar.endAsync();
  await until('the host to be back', WAIT_MS, async () => channel.isOpen());
  expect(reasons()).toEqual([]);
  expect(await channel.send(event(1))).toBe('taken');
});

test('a twin that stays connected under the name responds to it, and keeps the name', async () => {
  const twin = createMqttChannel({
    ...{ broker: { url }, prefix: 'p', fleet: 'f', host: 'h', ref: 'main', instance: 'twin' },
    ...{ clock, log: silentLog, random: () => 0, probeMs: 100 },
  });
  const asked: string[] = [];
  far.onArrival = (name) => void asked.push(name);
  twin.start({ opened: () => undefined, problemsChanged: () => undefined, notice: () => undefined });
  await until('the take-over', WAIT_MS, async () => reasons()[0] === 'NameTaken');
  await until('some answers', WAIT_MS, async () => asked.filter((name) => name === 'answers').length >= 2);
  expect([reasons(), twin.problems(), twin.isOpen()]).toEqual([['NameTaken'], [], true]);
  await twin.stop();
  await until('the host to be back', WAIT_MS, async () => channel.isOpen());
});

test('a false presence is corrected', async () => {
  const liar = await attacker('liar');
  await noticed();
  await liar.publishAsync(`${NAME}/presence`, 'offline', { qos: 1, retain: true });
  await until('the corrected presence', WAIT_MS, async () => far.presence() === 'online');
  await liar.endAsync();
});

describe('the size of packets', () => {
  /** The sizes that are found in these bytes, in chunks of any size. */
  const found = (bytes: Buffer, maxBytes: number, cut: number): boolean => {
    const stream = new PassThrough();
    let isTooLarge = false;
    watchPackets(stream, maxBytes, (error) => {
      isTooLarge = error instanceof TooLarge;
    });
    for (let at = 0; at < bytes.length; at += cut) stream.emit('data', bytes.subarray(at, at + cut));
    return isTooLarge;
  };
  const publish = (size: number) =>
    packet.generate(
      { cmd: 'publish', topic: 't', payload: Buffer.alloc(size), qos: 0, retain: false, dup: false },
      { protocolVersion: 5 },
    );

  test.each([1, 2, 3, 7, 1_000])('is known from its first bytes, in chunks of %i', (cut) => {
    const small = Buffer.concat([publish(0), publish(100), publish(127), publish(900), publish(16)]);
    expect(found(small, 1_000, cut)).toBe(false);
    expect(found(Buffer.concat([small, publish(2_000).subarray(0, 3)]), 1_000, cut)).toBe(true);
  });

  test('an unterminated length counts as too large', () => {
    expect(found(Buffer.from([0x30, 0x80, 0x80, 0x80, 0x80, 0x01]), 1e9, 1)).toBe(true);
  });
});
