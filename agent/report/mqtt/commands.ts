/** Commands as they come over MQTT: heard within a budget, and answered below `replies/` alone. */
import type { IPublishPacket } from 'mqtt';
import type { ReceivedCommand, ReplyTo } from '../../core/channel.ts';
import type { Clock } from '../../system/clock.ts';
import { createNotices, type Notices } from './notices.ts';
import type { BrokerProblem } from './refusals.ts';
import type { Topics } from './topics.ts';

export interface CommandSubscriptionOptions {
  topics: Pick<Topics, 'commands' | 'replies'>;
  clock: Clock;
  report(problem: BrokerProblem | null): void;
  heard(received: ReceivedCommand): void;
}

export interface CommandSubscription extends Notices {
  /** A message came. @returns false if it is none for these ears */
  receive(topic: string, payload: Buffer, packet: Pick<IPublishPacket, 'retain' | 'properties'>): boolean;
}

/** In a minute. A person sends a few; a program that sends many to one host means no good. */
const BUDGET = { messages: 120, bytes: 256 * 1024 };
/** A command is an id, a word, some flags and a reason. */
const MAX_BYTES = 4 * 1024;

export function createCommandSubscription({
  topics,
  clock,
  report,
  heard,
}: CommandSubscriptionOptions): CommandSubscription {
  const [topic = '', ...also] = topics.commands;
  const ears = createNotices({
    ...{ topic, also, clock, report, budget: BUDGET },
    subject: {
      flooded: 'CommandsFlooded',
      deaf: 'commands are not heard',
      publishers: 'those who steer the fleet',
    },
  });
  return {
    ...ears,
    receive(at, payload, { retain, properties }) {
      if (!topics.commands.includes(at)) return false;
      if (!ears.takes(at.length + payload.length)) return true;
      // A retained command would be received again and again, by hosts that were offline as well.
      if (retain) return true;
      heard({ text: payload.subarray(0, MAX_BYTES).toString('utf8'), reply: replyTo(properties, topics.replies) });
      return true;
    },
  };
}

/** Letters of a response topic, and bytes of correlation data, that are given back. */
const MAX_PLACE = 256;
const MAX_CORRELATION = 128;
const PLACE = /^(\/[A-Za-z0-9._~@:=-]+){1,4}$/;

/**
 * A response topic (MQTT 5.0, 3.3.2.3.5) is believed where it lies below `replies` and is made of plain letters: whoever may send a
 * command must not have this host, and its rights, speak anywhere else.
 */
export function replyTo(properties: IPublishPacket['properties'], replies: string): ReplyTo {
  const { responseTopic: place = '', correlationData } = properties ?? {};
  const isOurs =
    place.length <= MAX_PLACE && place.startsWith(`${replies}/`) && PLACE.test(place.slice(replies.length));
  const isShort = correlationData !== undefined && correlationData.length <= MAX_CORRELATION;
  return { place: isOurs ? place : null, correlation: isShort ? correlationData.toString('base64') : null };
}
