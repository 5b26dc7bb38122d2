/**
 * Whether a broker gives what is retained to a filter with a wildcard. Some (RabbitMQ) give it to exact topics alone, which is told by
 * no reason code, so a retained word of our own is asked for in both ways, on a topic that every host may write and read.
 */
import type { MqttClient } from 'mqtt';
import type { Clock } from '../../system/clock.ts';
import { createWord } from './name.ts';
import { isRefusal } from './refusals.ts';
import type { Topics } from './topics.ts';

export interface WildcardOptions {
  client: MqttClient;
  topics: Pick<Topics, 'presence' | 'answers'>;
  clock: Pick<Clock, 'sleep'>;
  signal: AbortSignal;
}

/** Time for a broker to send its retained messages, in ms. */
const WILDCARD_MS = 1_000;
const EXACT_MS = 5_000;
/** In version 5 the broker deletes the message after this time, if this process could not. */
const EXPIRY_S = 60;

/** @returns null if unknown, because the broker refuses the test or retains nothing. Rejects if the connection ends */
export async function givesToWildcards({ client, topics, clock, signal }: WildcardOptions): Promise<boolean | null> {
  const topic = topics.answers;
  const word = createWord();
  const isOld = client.options.protocolVersion !== 5;
  let copies = 0;
  let wake = () => {};
  client.on('message', (at, payload) => {
    if (at !== topic || payload.toString('utf8') !== word) return;
    copies++;
    wake();
  });
  const comes = async (count: number, ms: number): Promise<boolean> => {
    const enough = new AbortController();
    const came = new Promise<void>((resolve) => {
      wake = () => copies >= count && resolve();
      wake();
    });
    await Promise.race([came, clock.sleep(ms, AbortSignal.any([signal, enough.signal]))]);
    enough.abort();
    return copies >= count;
  };
  const retain = (payload: string) =>
    client.publishAsync(topic, payload, {
      ...{ qos: 1, retain: true },
      ...(isOld ? {} : { properties: { messageExpiryInterval: EXPIRY_S } }),
    });
  try {
    await retain(word);
    try {
      await client.subscribeAsync(`${topics.presence}/+`, { qos: 1 });
      if (await comes(1, WILDCARD_MS)) return true;
      await client.subscribeAsync(topic, { qos: 1 });
      if (!(await comes(1, EXACT_MS))) return null;
      // A second copy would be the answer to the wildcard, late.
      return await comes(2, WILDCARD_MS);
    } finally {
      await retain('').catch(() => undefined);
    }
  } catch (thrown) {
    if (isRefusal(thrown)) return null;
    throw thrown;
  }
}
