/**
 * The guarantee of the outbox, over a broker that is slow, down for a while, cut off, full, restarted and forgetful: every event
 * arrives, in order.
 */
import fc from 'fast-check';
import mqtt from 'mqtt';
import { expect, test } from 'vitest';
import type { RecentHistory } from '../../agent/core/reporting/recent-history.ts';
import type { AgentEvent } from '../../agent/core/types.ts';
import { silentLog } from '../../agent/log.ts';
import { createMqttChannel } from '../../agent/report/mqtt/channel.ts';
import { createReporter } from '../../agent/report/reporter.ts';
import { type Clock, systemClock } from '../../agent/system/clock.ts';
import type { StatusDocument } from '../../manifests-schema/payloads.ts';
import { type FakeBroker, startFakeBroker } from '../fakes/broker.ts';
import { until } from '../lab/run.ts';
import { generator } from '../random.ts';

const WAIT_MS = 30_000;
const EVENTS = 'p/f/hosts/h/events';
/** Time that passes fifty times as fast. */
const SPEED = 50;
const clock: Clock = {
  now: systemClock.now,
  monotonic: () => systemClock.monotonic() * SPEED,
  sleep: (ms, signal) => systemClock.sleep(ms / SPEED, signal),
};

/** One temporary fault. */
const MISHAPS: Record<string, (broker: FakeBroker) => () => void> = {
  'takes connections and answers nothing': (broker) => {
    broker.isSilent = true;
    return () => {
      broker.isSilent = false;
    };
  },
  'acknowledges no event': (broker) => {
    broker.leavesOpen = (topic) => topic === EVENTS;
    return () => {
      broker.leavesOpen = () => false;
    };
  },
  'is full': (broker) => {
    broker.isFull = (topic) => topic === EVENTS;
    return () => {
      broker.isFull = () => false;
    };
  },
  'cuts everybody': (broker) => {
    broker.cutAllBut('observer');
    return () => undefined;
  },
  'restarts and has forgotten what was retained': (broker) => {
    broker.retained.clear();
    broker.cutAllBut('observer');
    return () => undefined;
  },
  'is slow': (broker) => {
    broker.ackMs = 3;
    return () => {
      broker.ackMs = 0;
    };
  },
};

test('every event arrives, in order, and in the end the broker has the true state', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 1_000_000 }), fc.integer({ min: 1, max: 80 }), async (seed, count) => {
      const random = generator(seed);
      const broker = await startFakeBroker();
      const came: number[] = [];
      const observer = await mqtt.connectAsync(broker.url, {
        protocolVersion: 5,
        clientId: 'observer',
        reconnectPeriod: 0,
      });
      observer.on(
        'message',
        (_topic, payload) => void came.push((JSON.parse(payload.toString()) as { seq: number }).seq),
      );
      await observer.subscribeAsync(EVENTS);
      const outbox = Array.from({ length: count }, (_, i) => i + 1);
      const channel = createMqttChannel({
        ...{ broker: { url: broker.url }, prefix: 'p', fleet: 'f', host: 'h', ref: 'main', instance: 'i' },
        ...{ clock, log: silentLog, random: () => 0, answerMs: 150 },
      });
      const reporter = createReporter({
        ...{ channel, host: 'h', fleet: 'f', clock, log: silentLog },
        outbox: {
          peek: (limit) => outbox.slice(0, limit).map((seq) => ({ seq }) as AgentEvent),
          ack: (seq) => void outbox.splice(outbox.indexOf(seq), 1),
        },
        status: () => ({ left: outbox.length }) as unknown as StatusDocument,
        resources: () => [],
        history: { revision: () => 0, document: () => ({}) as unknown as RecentHistory },
        busy: () => false,
        onNotice: () => undefined,
      });
      try {
        reporter.start();
        for (let i = 0; i < 6; i++) {
          const names = Object.keys(MISHAPS);
          const end = MISHAPS[names[Math.floor(random() * names.length)] ?? '']?.(broker);
          await systemClock.sleep(random() * 60);
          end?.();
          await systemClock.sleep(random() * 10);
        }
        await until('all events', WAIT_MS, async () => {
          // As each run does: refused documents are sent again.
          reporter.changed();
          return outbox.length === 0;
        });
        await until('the last to be received', WAIT_MS, async () => came.includes(count));
        const seen = new Set<number>();
        for (const seq of came) {
          expect(seq === 1 || seen.has(seq - 1)).toBe(true);
          seen.add(seq);
        }
        expect(seen.size).toBe(count);
        await until('the true state', WAIT_MS, async () => broker.retained.get('p/f/hosts/h/status') === '{"left":0}');
        await until('presence', WAIT_MS, async () => broker.retained.get('p/f/hosts/h/presence') === 'online');
      } finally {
        await reporter.stop();
        observer.end(true);
        await broker.stop();
      }
    }),
    { numRuns: 4 },
  );
});
