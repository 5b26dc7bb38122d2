/** The reporter over a channel in memory, which is tested by the contract of channels (channel.test.ts). */
import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Channel, ChannelListener } from '../../agent/core/channel.ts';
import type { RecentHistory } from '../../agent/core/reporting/recent-history.ts';
import type { AgentEvent, ResourceStatus } from '../../agent/core/types.ts';
import { silentLog } from '../../agent/log.ts';
import { createReporter, type Reporter } from '../../agent/report/reporter.ts';
import type { StatusDocument } from '../../manifests-schema/payloads.ts';
import type { FarEnd } from '../channel/contract.ts';
import { createMemoryFarEnd } from '../channel/memory.ts';
import { generator } from '../random.ts';

/** Nothing here takes time: a condition that does not hold after this many turns of the event loop never will. */
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
  /** Whether a run is in progress. */
  busy: boolean;
  /** The content of the status. */
  message: string;
  run: number | null;
  trigger: string;
  resources: readonly ResourceStatus[];
  /** Runs of the history. */
  runs: number[];
  revision: number;
  /** Milliseconds that were slept, and what happens after each sleep. */
  slept: number;
  onSlept: () => void;
}

/** Time is counted in turns of the event loop. */
let time = 0;
const TURN_MS = 10;
let ticking = true;
const tick = () => {
  time += TURN_MS;
  if (ticking) globalThis.setImmediate(tick);
};
beforeAll(tick);
afterAll(() => {
  ticking = false;
});

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
    message: '',
    run: null,
    trigger: 'schedule',
    resources: [],
    runs: [],
    revision: 0,
    slept: 0,
    onSlept: () => undefined,
    reporter: createReporter({
      ...{ channel, host: 'h', fleet: 'f', log: silentLog },
      clock: {
        // Time is counted in turns of the event loop: a longer sleep ends later, and none takes long.
        monotonic: () => time,
        async sleep(ms, signal) {
          const end = time + ms;
          while (time < end && !signal?.aborted) await setImmediate();
          if (signal?.aborted) return;
          desk.slept += ms;
          desk.onSlept();
        },
      },
      outbox: {
        peek: (limit) => desk.outbox.slice(0, limit).map((seq) => ({ seq }) as AgentEvent),
        ack: (seq) => void desk.outbox.splice(desk.outbox.indexOf(seq), 1),
      },
      status: () => {
        const reasons = desk.reporter.problems().map((p) => p.reason);
        const run =
          desk.run === null ? null : { id: desk.run, trigger: desk.trigger, changed: 0, failed: 0, repaired: 0 };
        return { at: time, next: time, message: desk.message, reasons, run } as unknown as StatusDocument;
      },
      resources: () => desk.resources,
      history: {
        revision: () => desk.revision,
        document: () => ({ runs: desk.runs }) as unknown as RecentHistory,
      },
      busy: () => desk.busy,
      onNotice: () => undefined,
    }),
  };
  ended.push(desk);
  return desk;
}
const numbers = (count: number) => Array.from({ length: count }, (_, i) => i + 1);
const hasNothingLeft = ({ outbox }: Desk) => until('all events', async () => outbox.length === 0);

test('a refused event stays in the outbox, is named in the status, and is sent in order when it is accepted', async () => {
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

test('events that were being sent when the connection ended are sent on the next one, in order, without another trigger', async () => {
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

test('a channel whose problem ends in the moment in which it opens gets the status', async () => {
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
    clock: { sleep: () => new Promise(() => undefined), monotonic: () => 0 },
    outbox: { peek: () => [], ack: () => undefined },
    status: () => ({}) as unknown as StatusDocument,
    resources: () => [],
    history: { revision: () => 0, document: () => ({}) as unknown as RecentHistory },
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

test('the list of resources is retained when it changed, and after each opening', async () => {
  const desk = createDesk();
  const retained: string[] = [];
  desk.far.onArrival = (name) => void retained.push(name);
  desk.reporter.start();
  await until('the first list', async () => retained.includes('resources'));
  desk.message = 'other';
  desk.reporter.changed();
  await until('another status', async () => retained.filter((n) => n === 'status').length === 2);
  desk.resources = [{ id: 'file:/a', sync: 'synced', health: 'healthy', reason: '' }];
  desk.reporter.changed();
  await until('the second list', async () => retained.filter((n) => n === 'resources').length === 2);
  expect(retained).toEqual(['status', 'resources', 'history', 'status', 'resources']);
  desk.far.cut();
  await until('the list again', async () => retained.filter((n) => n === 'resources').length === 3);
  expect(desk.far.retained('resources')).toEqual({ schema: 1, resources: desk.resources });
});

test('the history is retained when it changed, and after each opening', async () => {
  const desk = createDesk();
  const retained: string[] = [];
  desk.far.onArrival = (name) => void retained.push(name);
  const times = (name: string) => retained.filter((n) => n === name).length;
  desk.reporter.start();
  await until('the first history', async () => retained.includes('history'));
  // A run was written whose content equals the one before.
  desk.revision++;
  desk.message = 'second';
  desk.reporter.changed();
  await until('another status', async () => times('status') === 2);
  desk.runs = [1];
  desk.message = 'third';
  desk.reporter.changed();
  await until('a third status', async () => times('status') === 3);
  expect(times('history')).toBe(1);
  desk.revision++;
  desk.reporter.changed();
  await until('the second history', async () => times('history') === 2);
  expect(desk.far.retained('history')).toEqual({ runs: [1] });
  desk.far.cut();
  await until('the history again', async () => times('history') === 3);
});

test('a history that is refused is sent again with the next news', async () => {
  const desk = createDesk();
  await desk.far.refuse('history');
  desk.reporter.start();
  await until('the problem', async () => desk.reporter.problems().length > 0);
  await desk.far.refuse();
  desk.reporter.changed();
  await until('the history', async () => desk.far.retained('history') !== undefined);
  expect(desk.reporter.problems()).toEqual([]);
});

test('a batch of events yields to a run for two seconds; retained documents do not', async () => {
  const desk = createDesk();
  const came: [name: string, slept: number][] = [];
  desk.outbox.push(...numbers(60));
  desk.busy = true;
  desk.far.onArrival = (name) => void came.push([name, desk.slept]);
  desk.onSlept = () => {
    if (desk.slept !== 1_000) return;
    desk.message = 'other';
    desk.reporter.changed();
  };
  desk.reporter.start();
  await hasNothingLeft(desk);
  expect(came).toEqual([
    ['status', 0],
    ['resources', 0],
    ['history', 0],
    ...numbers(50).map(() => ['events', 0]),
    ['status', 1_000],
    // After the pause between two batches and two seconds.
    ...numbers(10).map(() => ['events', 2_250]),
  ]);
});

describe('the rate', () => {
  const said: { message: string; at: number }[] = [];
  const desks = () => {
    const desk = createDesk();
    said.length = 0;
    desk.far.onArrival = (name) => void (name === 'status' && said.push({ message: desk.message, at: time }));
    desk.reporter.start();
    return desk;
  };
  const saidTimes = (times: number) => until(`status ${times}`, async () => said.length >= times);
  const pass = async (ms: number) => {
    const end = time + ms;
    await until('time to pass', async () => time >= end);
  };

  test('of the status is one in a second at most: the first at once, and the last of those that come meanwhile', async () => {
    const desk = desks();
    await saidTimes(1);
    await pass(2_000);
    const began = time;
    for (let n = 1; n <= 150; n++) {
      desk.message = `news ${n}`;
      desk.reporter.changed();
      await pass(20);
    }
    await until('the last', async () => said.at(-1)?.message === 'news 150');
    expect(said[1]).toMatchObject({ message: 'news 1' });
    expect((said[1]?.at ?? 0) - began).toBeLessThan(100);
    for (let i = 2; i < said.length; i++)
      expect((said[i]?.at ?? 0) - (said[i - 1]?.at ?? 0)).toBeGreaterThanOrEqual(1_000);
    expect(said.length).toBeLessThanOrEqual(6);
  });

  test('of the status of an unchanged host is one in ten minutes, however often it runs', async () => {
    const desk = desks();
    await saidTimes(1);
    desk.run = 1;
    desk.reporter.changed();
    await saidTimes(2);
    for (let n = 2; n < 10; n++) {
      await pass(60_000);
      desk.run = n;
      desk.reporter.changed();
    }
    expect(said.length).toBe(2);
    await until('the beat', async () => said.length === 3);
    expect((said[2]?.at ?? 0) - (said[1]?.at ?? 0)).toBeLessThanOrEqual(601_000);
  });

  test('does not delay the end of a run: progress is reported when the run takes longer than a second', async () => {
    const desk = desks();
    desk.run = 1;
    await saidTimes(1);
    await pass(2_000);
    desk.busy = true;
    desk.message = 'applying';
    desk.reporter.changed();
    await pass(300);
    expect(said.length).toBe(1);
    desk.run = 2;
    desk.message = 'done';
    const ended = time;
    desk.reporter.changed();
    await saidTimes(2);
    expect(said[1]?.message).toBe('done');
    expect((said[1]?.at ?? 0) - ended).toBeLessThan(100);
    await pass(2_000);
    desk.message = 'applying something long';
    desk.reporter.changed();
    await saidTimes(3);
    expect(said[2]?.message).toBe('applying something long');
  });

  test('does not delay the end of a run that a push or a person requested', async () => {
    const desk = desks();
    await saidTimes(1);
    for (let n = 1; n <= 10; n++) {
      desk.run = n;
      desk.trigger = n % 2 === 0 ? 'push' : 'manual';
      desk.message = `commit ${n}`;
      const ended = time;
      desk.reporter.changed();
      await saidTimes(n + 1);
      expect((said[n]?.at ?? 0) - ended).toBeLessThan(100);
    }
    desk.trigger = 'drift';
    desk.run = 11;
    desk.message = 'repaired';
    desk.reporter.changed();
    await pass(300);
    expect(said.length).toBe(11);
    await saidTimes(12);
  });

  test('does not prevent a last report at the end', async () => {
    const desk = desks();
    await saidTimes(1);
    desk.message = 'the last word';
    desk.reporter.changed();
    await desk.reporter.stop();
    expect(desk.far.retained('status')).toMatchObject({ message: 'the last word' });
  });

  test('of the history is one in ten seconds at most', async () => {
    const desk = createDesk();
    const at: number[] = [];
    desk.far.onArrival = (name) => void (name === 'history' && at.push(time));
    desk.reporter.start();
    for (let n = 1; n <= 100; n++) {
      desk.runs = [n];
      desk.revision++;
      desk.reporter.changed();
      await pass(200);
    }
    await until('the last', async () => JSON.stringify(desk.far.retained('history')) === '{"runs":[100]}');
    expect(at.length).toBeLessThanOrEqual(4);
  });
});

test('a flush does not yield, waits until everything is sent, and no longer than its limit', async () => {
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

test('whatever the channel does, every event arrives, and in order', async () => {
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
        // A refused event is retried when there is news, which comes now and then.
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
