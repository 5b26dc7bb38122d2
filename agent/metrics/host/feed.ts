/** Sends host metrics to the channel, once a minute while it is open; nothing is measured while it is not. */
import type { MetricsDocument } from '../../../manifests-schema/payloads.ts';
import type { Channel } from '../../core/channel.ts';
import { asAgentError } from '../../errors.ts';
import type { Log } from '../../log.ts';
import type { Clock } from '../../system/clock.ts';

export interface FeedOptions {
  channel: Pick<Channel, 'isOpen' | 'retain'>;
  clock: Pick<Clock, 'monotonic' | 'sleep'>;
  log: Log;
  /** Measures the host. Called for the first time when the channel is open. */
  sample(): Promise<MetricsDocument>;
}

export interface MetricsFeed {
  /** The channel is open: the first document goes now, one each minute after it. */
  opened(): void;
  stop(): void;
}

const EVERY_MS = 60_000;

export function createMetricsFeed({ channel, clock, log, sample }: FeedOptions): MetricsFeed {
  const stopper = new AbortController();
  let isFeeding = false;

  /** Ends when the channel is closed. An unstable connection does not get more documents than a steady one. */
  async function feed(): Promise<void> {
    while (!stopper.signal.aborted && channel.isOpen()) {
      const began = clock.monotonic();
      try {
        const document = await sample();
        if (channel.isOpen()) await channel.retain('metrics', document);
      } catch (thrown) {
        const { message } = asAgentError(thrown, { code: 'PublishFailed', phase: 'report' });
        log.debug({ error: message }, 'host metrics were not sent; the next ones follow in a minute');
      }
      await clock.sleep(Math.max(0, EVERY_MS - (clock.monotonic() - began)), stopper.signal);
    }
  }

  return {
    opened() {
      if (isFeeding) return;
      isFeeding = true;
      void feed().finally(() => {
        isFeeding = false;
      });
    },
    stop: () => stopper.abort(),
  };
}
