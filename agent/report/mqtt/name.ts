/**
 * This host's name on the broker, while the agent is connected: its presence is kept true, whoever asks for it is answered, and
 * another agent that lives under it, beside this one, is noticed.
 */
import { randomBytes } from 'node:crypto';
import type { IPublishPacket, MqttClient } from 'mqtt';
import type { Clock } from '../../system/clock.ts';
import { isRefusal } from './refusals.ts';
import type { Topics } from './topics.ts';

export interface NameOptions {
  client: MqttClient;
  topics: Pick<Topics, 'presence' | 'ask' | 'answers'>;
  /** Random id of this agent: its presence carries it, if the broker knows MQTT 5. */
  instance: string;
  clock: Clock;
  signal: AbortSignal;
}

export interface Name {
  /**
   * Subscribes to questions about the name. If the broker refuses that, other agents take the name to be free, as they do
   * with agents of earlier versions.
   */
  listen(): Promise<void>;
  /** @returns false for a topic that is none of the name's */
  heard(topic: string, text: string, packet: Pick<IPublishPacket, 'retain' | 'properties'>): boolean;
  /** Resolves when another agent lives under this name, which it answered for. */
  readonly taken: Promise<void>;
}

/** Minimum time between two answers, and between two corrections of the presence. */
const PAUSE_MS = 500;
/** Format of a question; anything else is not echoed. */
const WORD = /^[0-9a-f]{32}$/;
export const createWord = (): string => randomBytes(16).toString('hex');
/** Number of questions to another writer of `online`, and the time for each answer. A wrong presence lasts less than 5 s. */
const ASKED = 3;
const ASK_MS = 1_000;
/** A broker that does not carry the instance gives our own word back within this time. */
const ECHO_MS = 5_000;

/** User property of presence (MQTT 5.0, 3.3.2.3.7) that names the agent which wrote it. */
export const writtenBy = (instance: string): Record<string, string> => ({ instance });

export function createName({ client, topics, instance, clock, signal }: NameOptions): Name {
  const isOld = client.options.protocolVersion !== 5;
  const taken = Promise.withResolvers<void>();
  let answeredAt = Number.NEGATIVE_INFINITY;
  let saidAt = Number.NEGATIVE_INFINITY;
  let isCorrecting = false;
  /** The word of the question to another agent, and the waiting caller. */
  let asking: { word: string; answered: () => void } | null = null;

  const say = (topic: string, text: string, how: { retain: boolean; by?: string }) => {
    const properties = how.by === undefined || isOld ? {} : { properties: { userProperties: writtenBy(how.by) } };
    return client.publishAsync(topic, text, { qos: 1, retain: how.retain, ...properties }).catch(() => undefined);
  };

  async function sayOnline(): Promise<void> {
    if (!client.connected || signal.aborted) return;
    saidAt = clock.monotonic();
    await say(topics.presence, 'online', { retain: true, by: instance });
  }

  /** Another client published that this host is offline, such as the will of a connection that this one replaced. */
  async function correct(): Promise<void> {
    if (isCorrecting || signal.aborted) return;
    isCorrecting = true;
    await clock.sleep(PAUSE_MS, signal);
    isCorrecting = false;
    // Do not overwrite the presence while another agent is being asked whether it uses this name.
    if (asking === null) await sayOnline();
  }

  /** Another client published that this host is online: a running agent answers a random message, which proves that it lives. */
  async function challenge(): Promise<void> {
    if (asking !== null || signal.aborted) return;
    const word = createWord();
    const answered = Promise.withResolvers<'there'>();
    asking = { word, answered: () => answered.resolve('there') };
    let isThere = false;
    try {
      await client.subscribeAsync(topics.answers, { qos: 1 });
      for (let times = 0; times < ASKED && !isThere && !signal.aborted; times++) {
        await client.publishAsync(topics.ask, word, { qos: 1 });
        const late = clock.sleep(ASK_MS, signal).then(() => 'late' as const);
        isThere = (await Promise.race([answered.promise, late])) === 'there';
      }
      if (!isThere) await client.unsubscribeAsync(topics.answers);
    } catch {
      // If asking is refused, no other agent is assumed; if the connection ended, there is no answer.
    }
    asking = null;
    if (isThere) taken.resolve();
    else await sayOnline();
  }

  /** @param by the writer, if known */
  function online(by: unknown, isRetained: boolean): void {
    if (by === instance) return;
    // In 3.1.1 the broker keeps no instance: its message is ours, or is corrected.
    if (by === undefined && (clock.monotonic() - saidAt < ECHO_MS || (isOld && isRetained))) return;
    if (by === undefined && isRetained) void correct();
    else void challenge();
  }

  return {
    async listen() {
      const how = { qos: 1 as const, ...(isOld ? {} : { nl: true }) };
      await client.subscribeAsync([topics.presence, topics.ask], how).catch((thrown: unknown) => {
        if (!isRefusal(thrown)) throw thrown;
      });
    },
    heard(topic, text, { retain, properties }) {
      if (topic === topics.presence) {
        if (text === 'online') online(properties?.userProperties?.instance, retain);
        else void correct();
      } else if (topic === topics.answers) {
        if (text === asking?.word) asking.answered();
      } else if (topic === topics.ask) {
        if (!WORD.test(text) || text === asking?.word || clock.monotonic() - answeredAt < PAUSE_MS) return true;
        answeredAt = clock.monotonic();
        void say(topics.answers, text, { retain: false });
      } else return false;
      return true;
    },
    taken: taken.promise,
  };
}
