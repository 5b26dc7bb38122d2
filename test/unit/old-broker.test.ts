/** Brokers that support only MQTT 3.1.1: they refuse version 5 with a code, or close the connection. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { connectBroker } from '../../agent/system/mqtt.ts';
import { type FakeBroker, startFakeBroker } from '../fakes/broker.ts';

let broker: FakeBroker;
beforeEach(async () => {
  broker = await startFakeBroker();
});
afterEach(() => broker.stop());

const connect = () => connectBroker({ broker: { url: broker.url }, clientId: 'c', timeoutMs: 30_000 });

test('a broker that refuses version 5 is used with 3.1.1', async () => {
  broker.isOld = true;
  const client = await connect();
  expect(client.options.protocolVersion).toBe(4);
  client.end(true);
});

test('a broker that closes a connection of version 5 without an answer is used with 3.1.1 as well', async () => {
  broker.endsConnections = 'of 5';
  const client = await connect();
  expect(client.options.protocolVersion).toBe(4);
  client.end(true);
});

test('a broker that closes every connection is reported as such', async () => {
  broker.endsConnections = 'all';
  await expect(connect()).rejects.toMatchObject({
    code: 'BrokerUnreachable',
    reach: 'answered',
    message: expect.stringMatching(/the connection was closed/),
  });
});
