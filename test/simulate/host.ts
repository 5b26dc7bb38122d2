/**
 * One simulated host. What it publishes, when, and how it reconnects after an outage is the agent's own code: the MQTT channel
 * with its Last Will, the reporter with its rate limits, the feed of metrics and the gate of push notices. Only what it reports
 * is invented.
 */
import type { Channel } from '../../agent/core/channel.ts';
import { createPushGate } from '../../agent/engine/when/push.ts';
import { splayOffset } from '../../agent/engine/when/splay.ts';
import type { Log } from '../../agent/log.ts';
import { createMetricsFeed } from '../../agent/metrics/host/feed.ts';
import { createMqttChannel } from '../../agent/report/mqtt/channel.ts';
import { createReporter } from '../../agent/report/reporter.ts';
import type { Clock } from '../../agent/system/clock.ts';
import type { BrokerSettings } from '../../agent/system/mqtt.ts';
import type { MetricsDocument } from '../../manifests-schema/payloads.ts';
import { type BookOptions, createBook } from './book.ts';

export interface SimulatedHostOptions extends Omit<BookOptions, 'now'> {
  broker: BrokerSettings;
  prefix: string;
  clock: Clock;
  log: Log;
  random(): number;
  /** As `sync.splay` of agent.yaml. */
  splayMs: number;
  /** How long each run takes. */
  runMs: number;
  /** null: no metrics are sent. */
  sample: (() => Promise<MetricsDocument>) | null;
  /** A connection is there. */
  onOpened(): void;
  /** The broker has acknowledged a status with this commit as the desired one. */
  onTold(commit: string): void;
}

export interface SimulatedHost {
  start(): void;
  isOpen(): boolean;
  /** A resource has drifted, and was repaired. */
  repair(): void;
  /** Publishes `offline` and ends, within 4 s. */
  stop(): Promise<void>;
}

export function createSimulatedHost(options: SimulatedHostOptions): SimulatedHost {
  const { host, fleet, clock, log, sample } = options;
  const book = createBook({ ...options, now: clock.now });
  const made = createMqttChannel(options);
  const channel: Channel = {
    ...made,
    async retain(name, document) {
      const answer = await made.retain(name, document);
      if (name === 'status' && answer === 'taken') options.onTold(book.commit());
      return answer;
    },
  };
  /** The commit of the last notice. An agent would ask its repository; here the notice is trusted. */
  let announced = '';
  const ended = new AbortController();
  const gate = createPushGate({
    offsetMs: splayOffset(host, options.splayMs),
    known: (commit) => commit === book.commit(),
    async sync() {
      const commit = announced;
      book.begin();
      reporter.changed();
      await clock.sleep(options.runMs, ended.signal);
      book.end({ trigger: 'push', commit, durationMs: options.runMs });
      reporter.changed();
    },
  });
  const reporter = createReporter({
    ...{ channel, host, fleet, clock, log },
    ...{ outbox: book.outbox, status: book.status, resources: book.resources, history: book.history, busy: book.busy },
    beside: [
      { opened: options.onOpened, stop: () => undefined },
      ...(sample === null ? [] : [createMetricsFeed({ channel, clock, log, sample })]),
    ],
    onNotice(payload) {
      announced = payload.trim();
      gate.notice(payload);
    },
  });
  return {
    start: reporter.start,
    isOpen: reporter.isOpen,
    repair() {
      book.repair();
      reporter.changed();
    },
    async stop() {
      gate.stop();
      ended.abort();
      await reporter.stop();
    },
  };
}
