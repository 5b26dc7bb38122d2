/** Push notices: heard within a budget, since anybody may send them. A flood of them costs this host its ears, not its voice. */
import type { MqttClient } from 'mqtt';
import type { Clock } from '../../system/clock.ts';
import { type BrokerProblem, isRefusal, said } from './refusals.ts';

export interface NoticesOptions {
  topic: string;
  clock: Clock;
  /** What stands between this host and its notices; null where nothing does. */
  report(problem: BrokerProblem | null): void;
}

export interface Notices {
  /** Counts what came. @returns false where it is too much, and nothing more is to be made of it */
  takes(bytes: number): boolean;
  /** What came was too much: nothing is subscribed to for some time. */
  deafen(): void;
  isDeaf(): boolean;
  /** Subscribes, if it may now. What is refused is a problem, and no reason to go. */
  listen(client: MqttClient): Promise<void>;
  /** Leaves a flood, and comes back after some time. Resolves when the connection has `ended`. */
  stayTuned(client: MqttClient, ended: AbortSignal): Promise<void>;
}

/** In a minute: a fleet's retained tags come all at once when a pattern is subscribed to. */
const MINUTE_MS = 60_000;
const MAX_MESSAGES = 20_000;
const MAX_BYTES = 4 * 1024 * 1024;
const DEAF_MS = 600_000;

export function createNotices({ topic, clock, report }: NoticesOptions): Notices {
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
      reason: 'NoticesFlooded',
      message: `too much came on ${topic}: push notices are not heard for ${DEAF_MS / 60_000} minutes, the schedule goes on; let only CI publish there`,
    });
  }

  async function listen(client: MqttClient): Promise<void> {
    if (isDeaf()) return;
    try {
      await client.subscribeAsync(topic, { qos: 1 });
      report(null);
    } catch (thrown) {
      if (!isRefusal(thrown)) throw thrown;
      const message = `the broker does not let this host hear ${topic} (${said(thrown)}): push notices do not arrive, the schedule goes on; allow it there`;
      report({ reason: 'SubscriptionRefused', message });
    }
  }

  return {
    takes(size) {
      const now = clock.monotonic();
      if (now - since >= MINUTE_MS) [since, messages, bytes] = [now, 0, 0];
      messages++;
      bytes += size;
      if (messages <= MAX_MESSAGES && bytes <= MAX_BYTES) return true;
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
        await Promise.race([client.unsubscribeAsync(topic).catch(() => undefined), over]);
        await clock.sleep(deafUntil - clock.monotonic(), ended);
        if (!ended.aborted) await listen(client);
      }
    },
  };
}
