/** The reporter over a channel in memory, which is held to the contract of channels (channel.test.ts). */
import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { afterEach, expect, test } from 'vitest';
import type { Channel, ChannelListener } from '../../agent/core/channel.ts';
import type { AgentEvent, ResourceStatus } from '../../agent/core/types.ts';
import { silentLog } from '../../agent/log.ts';
import { createReporter, type Reporter } from '../../agent/report/reporter.ts';
import type { StatusDocument } from '../../manifests-schema/payloads.ts';
import type { FarEnd } from '../channel/contract.ts';
import { createMemoryFarEnd } from '../channel/memory.ts';
import { generator } from '../random.ts';

/** Nothing here takes time: what does not come to be within so many turns of the event loop never does. */
const TURNS = 20_000;
async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  for (let turn = 0; turn < TURNS; turn++) {
    if (await isSo()) return;
    await setImmediate();
  }
  throw new Error(`waited for ${what}`);
}

interface Desk {
  far: FarEnd;
  reporter: Reporter;
  outbox: number[];
  /** A run is at work. */
  busy: boolean;
  resources: readonly ResourceStatus[];
  /** Milliseconds that were slept, and what happens then. */
  slept: number;
  onSlept: () => void;
}

const ended: Desk[] = [];
afterEach(async () => {
  for (const { reporter, far } of ended.splice(0)) {
    await reporter.stop();
    await far.end();
  }
});

function createDesk(): Desk {
  const far = createMemoryFarEnd();
  const channel = far.channel();
  const desk: Desk = {
    far,
    outbox: [],
    busy: false,
    resources: [],
    slept: 0,
    onSlept: () => undefined,
    reporter: createReporter({
      ...{ channel, host: 'h', fleet: 'f', log: silentLog },
      clock: {
        // Time goes by turns of the event loop: a longer sleep ends later, and none takes long.
        async sleep(ms, signal) {
          for (let at = 0; at < ms && !signal?.aborted; at += 10) await setImmediate();
          desk.slept += ms;
          desk.onSlept();
        },
      },
      outbox: {
        peek: (limit) => desk.outbox.slice(0, limit).map((seq) => ({ seq }) as AgentEvent),
        ack: (seq) => void desk.outbox.splice(desk.outbox.indexOf(seq), 1),
      },
      status: () => ({ reasons: desk.reporter.problems().map((p) => p.reason) }) as unknown as StatusDocument,
      resources: () => desk.resources,
      busy: () => desk.busy,
      onNotice: () => undefined,
    }),
  };
  ended.push(desk);
  return desk;
}
const numbers = (count: number) => Array.from({ length: count }, (_, i) => i + 1);
const hasNothingLeft = ({ outbox }: Desk) => until('all events', async () => outbox.length === 0);

test('what is refused stays in the outbox, is named in the status, and goes out in order when it is taken', async () => {
  const desk = createDesk();
  desk.outbox.push(...numbers(3));
  await desk.far.refuse('events');
  desk.reporter.start();
  await until('the problem in the status', async () =>
    String(JSON.stringify(desk.far.retained('status'))).includes('PublishRefused'),
  );
  expect(desk.outbox).toEqual([1, 2, 3]);
  await desk.far.refuse();
  desk.reporter.changed();
  await hasNothingLeft(desk);
  expect(desk.far.events()).toEqual([1, 2, 3]);
  await until('the end of the problem', async () => !JSON.stringify(desk.far.retained('status')).includes('Ref'));
});

test('what was being sent when the connection ended is sent on the next one, in order, without anybody’s doing', async () => {
  const desk = createDesk();
  desk.outbox.push(...numbers(120));
  desk.far.onArrival = (name) => {
    if (name !== 'events' || desk.far.events().length !== 60) return;
    desk.far.onArrival = null;
    desk.far.cut();
  };
  desk.reporter.start();
  await hasNothingLeft(desk);
  expect(desk.far.events()).toEqual(numbers(120));
});

test('a channel whose problem ends in the very moment in which it opens is told the status', async () => {
  const retained: string[] = [];
  let isOpen = false;
  let listener: ChannelListener | null = null;
  const channel: Channel = {
    ...createMemoryFarEnd().channel(),
    start(given) {
      listener = given;
    },
    isOpen: () => isOpen,
    problems: () => [],
    async retain(name) {
      retained.push(name);
      return 'taken';
    },
    stop: async () => undefined,
  };
  const reporter = createReporter({
    ...{ channel, host: 'h', fleet: 'f', log: silentLog },
    clock: { sleep: async () => undefined },
    outbox: { peek: () => [], ack: () => undefined },
    status: () => ({}) as unknown as StatusDocument,
    resources: () => [],
    busy: () => false,
    onNotice: () => undefined,
  });
  reporter.start();
  const heard = listener as ChannelListener | null;
  heard?.problemsChanged();
  isOpen = true;
  heard?.opened();
  await until('the status', async () => retained.includes('status'));
});

test('the list of resources is retained when it is another one, and after each opening', async () => {
  const desk = createDesk();
  const retained: string[] = [];
  desk.far.onArrival = (name) => void retained.push(name);
  desk.reporter.start();
  await until('the first list', async () => retained.includes('resources'));
  desk.reporter.changed();
  await until('another status', async () => retained.filter((n) => n === 'status').length === 2);
  desk.resources = [{ id: 'file:/a', sync: 'synced', health: 'healthy', reason: '' }];
  desk.reporter.changed();
  await until('the second list', async () => retained.filter((n) => n === 'resources').length === 2);
  expect(retained).toEqual(['status', 'resources', 'status', 'status', 'resources']);
  desk.far.cut();
  await until('the list again', async () => retained.filter((n) => n === 'resources').length === 3);
  expect(desk.far.retained('resources')).toEqual({ schema: 1, resources: desk.resources });
});

test('a batch of events yields to a run for two seconds; what is retained does not', async () => {
  const desk = createDesk();
  const came: [name: string, slept: number][] = [];
  desk.outbox.push(...numbers(60));
  desk.busy = true;
  desk.far.onArrival = (name) => void came.push([name, desk.slept]);
  desk.onSlept = () => {
    if (desk.slept === 1_000) desk.reporter.changed();
  };
  desk.reporter.start();
  await hasNothingLeft(desk);
  expect(came).toEqual([
    ['status', 0],
    ['resources', 0],
    ...numbers(50).map(() => ['events', 0]),
    ['status', 1_000],
    // After the pause between two batches and two seconds.
    ...numbers(10).map(() => ['events', 2_250]),
  ]);
});

test('a flush does not yield, waits until all is said, and no longer than it is given', async () => {
  const away = createDesk();
  await away.far.away(true);
  away.outbox.push(1);
  away.reporter.start();
  await away.reporter.flushed(100);
  expect(away.outbox).toEqual([1]);

  const desk = createDesk();
  desk.outbox.push(...numbers(120));
  desk.busy = true;
  desk.reporter.start();
  await desk.reporter.flushed(100_000);
  expect(desk.far.events()).toEqual(numbers(120));
});

test('whatever the channel does, every event arrives, and none before the one ahead of it', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 1_000_000 }), fc.integer({ min: 1, max: 130 }), async (seed, count) => {
      const random = generator(seed);
      const desk = createDesk();
      desk.outbox.push(...numbers(count));
      let mishaps = 8;
      desk.far.onArrival = () => {
        if (mishaps === 0 || random() > 0.2) return;
        mishaps--;
        if (random() < 0.6) desk.far.cut();
        else void desk.far.refuse(random() < 0.5 ? 'events' : 'status');
      };
      desk.reporter.start();
      let turns = 0;
      await until('all events', async () => {
        // What is refused is asked for again when there is news, which comes now and then.
        if (turns++ % 50 === 0) {
          await desk.far.refuse();
          desk.reporter.changed();
        }
        return desk.outbox.length === 0;
      });
      const seen = new Set<number>();
      for (const seq of desk.far.events()) {
        expect(seq === 1 || seen.has(seq - 1)).toBe(true);
        seen.add(seq);
      }
      expect(seen.size).toBe(count);
    }),
    { numRuns: 25 },
  );
});
