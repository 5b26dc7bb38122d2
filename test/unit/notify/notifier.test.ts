/** The notifier: over outages, refusals and restarts no message is lost or sent twice. */
import { afterEach, describe, expect, test } from 'vitest';
import { silentLog } from '../../../agent/log.ts';
import type { Delivery } from '../../../agent/notify/deliver.ts';
import type { Memory } from '../../../agent/notify/model/memory.ts';
import { sightOf } from '../../../agent/notify/model/sight.ts';
import { noteOf, type Parcel } from '../../../agent/notify/model/text.ts';
import { HOST_RULES } from '../../../agent/notify/model/turns.ts';
import { createNotifier, type Notifier } from '../../../agent/notify/notifier.ts';
import { type Destination, OF_A_FLEET } from '../../../manifests-schema/notify.ts';
import { createFakeClock } from '../../fakes/clock.ts';
import { problem, statusWith } from './status.ts';

const again: Delivery = { kind: 'again', why: 'no way', retryAfterMs: null };
const done: Delivery = { kind: 'done' };
const slack: Destination = { format: 'slack', urlFile: '/slack.url', on: [...OF_A_FLEET] };
const ntfy: Destination = { format: 'ntfy', urlFile: '/ntfy.url', on: [...OF_A_FLEET] };

const failed = (commit = 'a') =>
  sightOf(
    statusWith(
      { sync: 'failed', reason: 'UnitFailed', problems: [problem('unit:a.service', 'UnitFailed')] },
      commit.repeat(40),
    ),
  );
const well = sightOf(statusWith());

const running: Notifier[] = [];
afterEach(() => Promise.all(running.splice(0).map((notifier) => notifier.stop())));

/** A host whose state survives its notifiers. */
function host(destinations: Destination[] = [slack]) {
  // The date of the statuses in these tests.
  const clock = createFakeClock(Date.parse('2026-11-24T08:00:00Z'));
  let kept = '{}';
  let saves = 0;
  const tries: { to: string; at: number; parcel: Parcel }[] = [];
  const waiting: { count: number; resolve(): void }[] = [];
  const world = {
    clock,
    tries,
    answer: (_to: string): Delivery => done,
    isDiskFull: false,
    saves: () => saves,
    kept: () => JSON.parse(kept) as Record<string, Memory>,
    titles: (to = 'slack') => tries.filter((one) => one.to === to).map(({ parcel }) => noteOf(parcel).title),
    /** Resolves after this many attempts to send. */
    tried: (count: number) =>
      tries.length >= count ? Promise.resolve() : new Promise<void>((resolve) => waiting.push({ count, resolve })),
    start() {
      const notifier = createNotifier({
        ...{
          destinations,
          fleet: 'shop',
          prefix: 'edge-1',
          rules: HOST_RULES,
          clock,
          log: silentLog,
          random: () => 0.5,
        },
        problemsChanged: () => undefined,
        deliver:
          ({ format }) =>
          async (parcel) => {
            tries.push({ to: format, at: clock.monotonic(), parcel });
            for (const one of waiting.splice(0)) {
              if (tries.length >= one.count) one.resolve();
              else waiting.push(one);
            }
            return world.answer(format);
          },
        keep: {
          load: () => JSON.parse(kept) as Record<string, Memory>,
          save(memories) {
            if (world.isDiskFull) throw new Error('the disk is full');
            saves++;
            kept = JSON.stringify(memories);
          },
        },
      });
      running.push(notifier);
      notifier.start();
      return notifier;
    },
  };
  return world;
}

test('a failure is sent, and not again after a restart', async () => {
  const w = host();
  const first = w.start();
  first.see([failed()]);
  await w.tried(1);
  await first.flushed(60_000);
  await first.stop();
  const second = w.start();
  second.see([failed()]);
  await second.flushed(60_000);
  expect(w.titles()).toEqual(['edge-1: commit aaaaaaa failed']);
});

test('a message that was not sent before the end is sent by the next process, with the time of its event', async () => {
  const w = host();
  w.answer = () => again;
  const first = w.start();
  first.see([failed()]);
  await w.tried(1);
  await first.stop();
  await w.clock.sleep(24 * 3_600_000);
  w.answer = () => done;
  const second = w.start();
  second.see([failed()]);
  await w.tried(2);
  await second.flushed(60_000);
  const { parcel } = w.tries.at(-1) as { parcel: Parcel };
  expect(parcel.id).toBe(w.tries[0]?.parcel.id);
  expect(noteOf(parcel).lines.at(-1)).toMatch(/2026-11-24 08:00 UTC; this comes late/);
  expect(Object.values(w.kept())[0]?.queue).toEqual([]);
});

test('an outage is retried at growing intervals, five minutes at most, and shown after the second attempt', async () => {
  const w = host();
  w.answer = () => again;
  const notifier = w.start();
  notifier.see([failed()]);
  await w.tried(1);
  expect(notifier.problems()).toEqual([]);
  await w.tried(10);
  const pauses = w.tries.slice(1).map(({ at }, i) => (at - (w.tries[i]?.at ?? 0)) / 1_000);
  expect(pauses).toEqual([10, 20, 40, 80, 160, 300, 300, 300, 300]);
  expect(notifier.problems()).toMatchObject([{ id: 'notify', reason: 'NotifyUnreachable' }]);
  w.answer = () => done;
  await w.tried(11);
  await notifier.flushed(60_000);
  expect(notifier.problems()).toEqual([]);
});

test('a destination that asks for a pause gets it, one hour at most', async () => {
  const w = host();
  w.answer = () => ({ kind: 'again', why: 'it answered 429', retryAfterMs: 120_000 });
  w.start().see([failed()]);
  await w.tried(2);
  w.answer = () => ({ kind: 'again', why: 'it answered 429', retryAfterMs: 1e12 });
  await w.tried(4);
  const [, second, third, fourth] = w.tries.map(({ at }) => at) as [number, number, number, number];
  expect(second - (w.tries[0]?.at ?? 0)).toBe(120_000);
  expect(fourth - third).toBe(3_600_000);
});

test('events during a pause are merged, and sent in order', async () => {
  const w = host();
  w.answer = () => again;
  const notifier = w.start();
  notifier.see([failed('a')]);
  await w.tried(6);
  for (const commit of ['b', 'c', 'd']) {
    notifier.see([failed(commit)]);
    await w.clock.sleep(20_000);
  }
  notifier.see([well]);
  w.answer = () => done;
  await w.tried(7);
  const { parcel } = w.tries.at(-1) as { parcel: Parcel };
  expect(parcel.messages.map(({ occasion, brief }) => `${occasion} ${brief?.commit?.[0] ?? ''}`)).toEqual([
    ...['failed a', 'failed b', 'failed c', 'failed d', 'recovered '],
  ]);
});

test('a destination that is unreachable does not delay others', async () => {
  const w = host([slack, ntfy]);
  w.answer = (to) => (to === 'slack' ? again : done);
  const notifier = w.start();
  notifier.see([failed('a')]);
  await w.tried(2);
  notifier.see([failed('b')]);
  await w.tried(6);
  expect(w.titles('ntfy')).toEqual(['edge-1: commit aaaaaaa failed', 'edge-1: commit bbbbbbb failed']);
});

test('a message that cannot be accepted is dropped, counted, and does not delay others', async () => {
  const w = host();
  w.answer = () => ({ kind: 'unfit', why: 'it answered 400', retryAfterMs: null });
  const notifier = w.start();
  notifier.see([failed('a')]);
  await w.tried(3);
  w.answer = () => done;
  await w.clock.sleep(3_600_000);
  notifier.see([failed('b')]);
  await w.tried(4);
  const { parcel } = w.tries.at(-1) as { parcel: Parcel };
  expect(noteOf(parcel).title).toBe('edge-1: commit bbbbbbb failed');
  expect(parcel.dropped).toBe(1);
});

test('a destination that refuses is asked less and less often, and the problem says what to check', async () => {
  const w = host();
  w.answer = () => ({ kind: 'refused', why: 'it answered 404', retryAfterMs: null });
  const notifier = w.start();
  notifier.see([failed()]);
  await w.tried(9);
  expect((w.tries[8]?.at ?? 0) - (w.tries[7]?.at ?? 0)).toBe(3_600_000);
  expect(notifier.problems()).toMatchObject([
    {
      reason: 'NotifyRefused',
      message: expect.stringContaining('cannot notify slack (/slack.url): it answered 404; check `notify`'),
    },
  ]);
});

test('a full disk does not prevent notifications', async () => {
  const w = host();
  w.isDiskFull = true;
  const notifier = w.start();
  notifier.see([failed()]);
  await w.tried(1);
  await notifier.flushed(60_000);
  expect(w.titles()).toEqual(['edge-1: commit aaaaaaa failed']);
});

describe('a host that is well', () => {
  test('causes no write', async () => {
    const w = host();
    const notifier = w.start();
    for (let i = 0; i < 100; i++) notifier.see([well]);
    await notifier.flushed(60_000);
    await notifier.stop();
    expect(w.saves()).toBeLessThanOrEqual(1);
  });
});
