/** This host's name on the broker, while the agent is connected: its presence is kept true, and who asks for it is answered. */
import type { MqttClient } from 'mqtt';
import type { Clock } from '../../system/clock.ts';
import { isRefusal } from './refusals.ts';
import type { Topics } from './topics.ts';

export interface NameOptions {
  client: MqttClient;
  topics: Pick<Topics, 'presence' | 'ask' | 'answers'>;
  clock: Clock;
  signal: AbortSignal;
}

export interface Name {
  /** Where this is refused, the name is taken for free by whoever asks, as by agents of before. */
  listen(): Promise<void>;
  heard(topic: string, text: string): void;
}

/** A word is answered and a wrong presence corrected no more often. */
const PAUSE_MS = 500;
/** What an agent asks with (connection.ts); anything else is not repeated. */
const WORD = /^[0-9a-f]{32}$/;

export function createName({ client, topics, clock, signal }: NameOptions): Name {
  let answeredAt = Number.NEGATIVE_INFINITY;
  let isCorrecting = false;
  const say = (topic: string, text: string, how: { retain: boolean }) =>
    client.publishAsync(topic, text, { qos: 1, ...how }).catch(() => undefined);

  /** Somebody said that this host is gone, such as the will of a connection that this one took the place of. */
  async function correct(): Promise<void> {
    isCorrecting = true;
    await clock.sleep(PAUSE_MS, signal);
    isCorrecting = false;
    if (client.connected && !signal.aborted) await say(topics.presence, 'online', { retain: true });
  }

  return {
    async listen() {
      await client.subscribeAsync([topics.presence, topics.ask], { qos: 1 }).catch((thrown: unknown) => {
        if (!isRefusal(thrown)) throw thrown;
      });
    },
    heard(topic, text) {
      if (topic === topics.presence) {
        if (text !== 'online' && !isCorrecting && !signal.aborted) void correct();
      } else if (WORD.test(text) && clock.monotonic() - answeredAt >= PAUSE_MS) {
        answeredAt = clock.monotonic();
        void say(topics.answers, text, { retain: false });
      }
    },
  };
}
