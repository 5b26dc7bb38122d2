/** Brokers that know MQTT 3.1.1 alone: they say so, or they end a connection of version 5 without a word. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { connectBroker } from '../../agent/system/mqtt.ts';
import { type FakeBroker, startFakeBroker } from '../fakes/broker.ts';

let broker: FakeBroker;
beforeEach(async () => {
  broker = await startFakeBroker();
});
afterEach(() => broker.stop());

const connect = () => connectBroker({ broker: { url: broker.url }, clientId: 'c', timeoutMs: 30_000 });

test('a broker that refuses version 5 is spoken to in 3.1.1', async () => {
  broker.isOld = true;
  const client = await connect();
  expect(client.options.protocolVersion).toBe(4);
  client.end(true);
});

test('so is one that ends a connection of version 5 without an answer', async () => {
  broker.endsConnections = 'of 5';
  const client = await connect();
  expect(client.options.protocolVersion).toBe(4);
  client.end(true);
});

test('one that ends every connection is said to do so', async () => {
  broker.endsConnections = 'all';
  await expect(connect()).rejects.toMatchObject({
    code: 'BrokerUnreachable',
    reach: 'answered',
    message: expect.stringMatching(/the connection was closed/),
  });
});
