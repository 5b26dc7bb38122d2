/**
 * Receives messages that anybody may send to a host, within a budget. After a flood this host stops listening for a while,
 * but goes on reporting.
 */
import type { MqttClient } from 'mqtt';
import type { Clock } from '../../system/clock.ts';
import { type BrokerProblem, isRefusal, said } from './refusals.ts';

export interface NoticesOptions {
  topic: string;
  /** More that is subscribed to, and shares the budget. */
  also?: readonly string[];
  /** In a minute, of all together. */
  budget?: { messages: number; bytes: number };
  /** Purpose of the topics in messages, if it is not push notices. */
  subject?: Subject;
  clock: Clock;
  /** The problem that keeps notices from this host; null if there is none. */
  report(problem: BrokerProblem | null): void;
}

export interface Subject {
  flooded: BrokerProblem['reason'];
  /** Consequence of the missing subscription, as messages say it. */
  deaf: string;
  /** The only users who should be allowed to publish there. */
  publishers: string;
}

const NOTICES: Subject = {
  flooded: 'NoticesFlooded',
  deaf: 'push notices are ignored, and polls go on by the schedule',
  publishers: 'CI',
};

export interface Notices {
  /** Counts messages. @returns false if there are too many, and they must be ignored */
  takes(bytes: number): boolean;
  /** Too many messages came: the topics stay unsubscribed for some time. */
  deafen(): void;
  isDeaf(): boolean;
  /** Subscribes unless there was a flood lately. A refusal becomes a problem, and does not end the connection. */
  listen(client: MqttClient): Promise<void>;
  /** Leaves a flood, and comes back after some time. Resolves when the connection has `ended`. */
  stayTuned(client: MqttClient, ended: AbortSignal): Promise<void>;
}

/** In a minute: a fleet's retained tags come all at once when a pattern is subscribed to. */
const MINUTE_MS = 60_000;
const MAX_MESSAGES = 20_000;
const MAX_BYTES = 4 * 1024 * 1024;
const DEAF_MS = 600_000;

export function createNotices(options: NoticesOptions): Notices {
  const { topic, also = [], clock, report, subject = NOTICES } = options;
  const { budget = { messages: MAX_MESSAGES, bytes: MAX_BYTES } } = options;
  const topics = [topic, ...also];
  let since = Number.NEGATIVE_INFINITY;
  let messages = 0;
  let bytes = 0;
  let deafUntil = Number.NEGATIVE_INFINITY;
  let flooded = Promise.withResolvers<void>();

  const isDeaf = () => clock.monotonic() < deafUntil;
  function deafen(): void {
    if (isDeaf()) return;
    deafUntil = clock.monotonic() + DEAF_MS;
    flooded.resolve();
    report({
      reason: subject.flooded,
      message: `too much came on ${topic}: for ${DEAF_MS / 60_000} minutes ${subject.deaf}; let only ${subject.publishers} publish there`,
    });
  }

  async function listen(client: MqttClient): Promise<void> {
    if (isDeaf()) return;
    try {
      await client.subscribeAsync(topics, { qos: 1 });
      report(null);
    } catch (thrown) {
      if (!isRefusal(thrown)) throw thrown;
      const message = `the broker does not let this host hear ${topics.join(' and ')} (${said(thrown)}): ${subject.deaf}; allow it there`;
      report({ reason: 'SubscriptionRefused', message });
    }
  }

  return {
    takes(size) {
      const now = clock.monotonic();
      if (now - since >= MINUTE_MS) [since, messages, bytes] = [now, 0, 0];
      messages++;
      bytes += size;
      if (messages <= budget.messages && bytes <= budget.bytes) return true;
      deafen();
      return false;
    },
    deafen,
    isDeaf,
    listen,
    async stayTuned(client, ended) {
      const over = new Promise<void>((resolve) => ended.addEventListener('abort', () => resolve(), { once: true }));
      while (!ended.aborted) {
        if (!isDeaf()) await Promise.race([flooded.promise, over]);
        if (ended.aborted) return;
        flooded = Promise.withResolvers();
        await Promise.race([client.unsubscribeAsync(topics).catch(() => undefined), over]);
        await clock.sleep(deafUntil - clock.monotonic(), ended);
        if (!ended.aborted) await listen(client);
      }
    },
  };
}
