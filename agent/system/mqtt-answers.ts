/**
 * Waits for a broker have an end: its answer, the end of the connection, or a time. The library waits without one: for an answer
 * that never comes while the connection lives, and for ever for what it had not sent when the connection ended.
 */
import type { MqttClient } from 'mqtt';
import { createWaits } from './waits.ts';

/** The broker accepted the connection and keeps it alive, but does not answer. */
export class Unanswered extends Error {}

/** Default time for each answer: the largest document in half a minute is two kilobytes a second. */
export const ANSWER_MS = 30_000;

type Waiting = Pick<MqttClient, 'publishAsync' | 'subscribeAsync' | 'unsubscribeAsync'>;

/**
 * @returns the same client, whose calls reject when the connection ends. A call that is not answered in time ends the
 *   connection with the error `Unanswered`.
 */
export function endWaits(client: MqttClient, { url, answerMs }: { url: string; answerMs: number }): MqttClient {
  const waits = createWaits();
  client.once('close', () => waits.end(new Error(`the connection to ${url} was lost`)));

  async function answered<T>(what: string, work: Promise<T>): Promise<T> {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      const why = new Unanswered(`the broker ${url} has not answered ${what} for ${answerMs / 1_000} s`);
      late.reject(why);
      client.emit('error', why);
      client.end(true);
    }, answerMs);
    try {
      return await waits.wait(Promise.race([work, late.promise]));
    } finally {
      clearTimeout(timer);
    }
  }

  const publish = client.publishAsync.bind(client) as (...args: unknown[]) => ReturnType<MqttClient['publishAsync']>;
  const subscribe = client.subscribeAsync.bind(client) as (
    ...args: unknown[]
  ) => ReturnType<MqttClient['subscribeAsync']>;
  const unsubscribe = client.unsubscribeAsync.bind(client) as (
    ...args: unknown[]
  ) => ReturnType<MqttClient['unsubscribeAsync']>;
  const bounded: Waiting = {
    publishAsync: (topic: string, ...more: unknown[]) => answered(`a message on ${topic}`, publish(topic, ...more)),
    subscribeAsync: (...args: unknown[]) => answered('a subscription', subscribe(...args)),
    unsubscribeAsync: (...args: unknown[]) => answered('the end of a subscription', unsubscribe(...args)),
  };
  return Object.assign(client, bounded);
}
