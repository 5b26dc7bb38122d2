import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { ResourceId } from '../../agent/core/types.ts';
import { type Contention, createHints, type Finding, type Hints } from '../../agent/engine/drift/hints.ts';

let hints: Hints;
let looks: { at: number; ids: readonly ResourceId[] }[];
let contended: Contention[];
let calmed: { id: ResourceId; count: number }[];
/** The results of the next observations. */
let answer: (id: ResourceId) => Finding;
let began: number;

const WELL: Finding = { outcome: 'still', waiting: false };
const REPAIRED: Finding = { outcome: 'repaired', waiting: false };
const FAILING: Finding = { outcome: 'failing', waiting: false };
const A: ResourceId = 'file:/a';
const B: ResourceId = 'file:/b';
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);
const times = (id: ResourceId) => looks.filter((l) => l.ids.includes(id)).map((l) => l.at);

beforeEach(() => {
  vi.useFakeTimers({ now: new Date('2026-03-01T12:00:00Z') });
  began = Date.now();
  [looks, contended, calmed] = [[], [], []];
  answer = () => WELL;
  hints = createHints({
    now: () => Date.now() - began,
    deliver(ids) {
      looks.push({ at: Date.now() - began, ids });
      hints.found(new Map(ids.map((id) => [id, answer(id)])));
    },
    contended: (c) => contended.push(c),
    calmed: (id, count) => calmed.push({ id, count }),
  });
});
afterEach(() => {
  hints.stop();
  vi.useRealTimers();
});

test('a burst of hints becomes one observation, soon after the last hint', async () => {
  for (let i = 0; i < 4; i++) {
    hints.hint(i % 2 ? A : B);
    await pass(20);
  }
  await pass(1_000);
  expect(looks).toHaveLength(1);
  expect([...(looks[0]?.ids ?? [])].sort()).toEqual([A, B]);
  expect(looks[0]?.at).toBe(60 + 50);
});

test('hints that never pause are observed nevertheless', async () => {
  for (let i = 0; i < 100; i++) {
    hints.hint(A);
    await pass(10);
  }
  expect(looks.length).toBeGreaterThanOrEqual(3);
  for (const [i, look] of looks.entries()) expect(look.at - (looks[i - 1]?.at ?? 0)).toBeLessThanOrEqual(310);
});

describe('a resource that keeps drifting', () => {
  /** Somebody undoes each repair at once. */
  const undoRepairs = async (id: ResourceId, ms: number) => {
    const end = Date.now() + ms;
    let seen = -1;
    while (Date.now() < end) {
      if (times(id).length !== seen) hints.hint(id);
      seen = times(id).length;
      // Nothing happens until the next timer.
      if (vi.getTimerCount() > 0) await vi.advanceTimersToNextTimerAsync();
      else await pass(10);
    }
  };

  test('is repaired at growing intervals, and reported once, with its count', async () => {
    answer = () => REPAIRED;
    await undoRepairs(A, 60_000);
    expect(contended).toHaveLength(1);
    expect(contended[0]).toMatchObject({ id: A, waitMs: 1_000 });
    expect(contended[0]?.count).toBeGreaterThanOrEqual(20);
    const gaps = times(A).map((at, i, all) => at - (all[i - 1] ?? 0));
    expect(gaps.slice(-3).every((gap) => gap >= 4_000)).toBe(true);
    expect(times(A).length).toBeLessThan(30);
    expect(hints.contentions()).toMatchObject([{ id: A, count: times(A).length }]);
    await undoRepairs(A, 3_600_000);
    expect(Math.max(...times(A).map((at, i, all) => at - (all[i - 1] ?? 0)))).toBeLessThanOrEqual(300_100);
    expect(contended).toHaveLength(1);
  });

  test('is no longer contended once it is not declared', async () => {
    answer = () => REPAIRED;
    await undoRepairs(A, 60_000);
    expect(hints.contentions()).toHaveLength(1);
    hints.keep(new Set([B]));
    expect(hints.contentions()).toEqual([]);
  });

  test('does not delay other resources', async () => {
    answer = (id) => (id === A ? REPAIRED : WELL);
    await undoRepairs(A, 60_000);
    const from = Date.now() - began;
    hints.hint(A);
    hints.hint(B);
    await pass(200);
    expect(times(B).map((at) => at - from)).toEqual([50]);
  });

  test('is backed off sooner if the repairs fail', async () => {
    answer = () => FAILING;
    await undoRepairs(A, 3_000);
    expect(times(A).length).toBeLessThanOrEqual(8);
    expect(contended).toMatchObject([{ id: A, count: 6 }]);
  });

  test('is repaired at once again after a quiet time, which is reported', async () => {
    answer = () => REPAIRED;
    await undoRepairs(A, 20_000);
    await pass(600_000);
    answer = () => WELL;
    hints.hint(B);
    await pass(100);
    expect(calmed).toMatchObject([{ id: A }]);
    expect(hints.contentions()).toEqual([]);
    const from = Date.now() - began;
    answer = () => REPAIRED;
    hints.hint(A);
    await pass(100);
    expect(times(A).at(-1)).toBe(from + 50);
  });

  test('is not contended if repairs are rare', async () => {
    answer = () => REPAIRED;
    for (let i = 0; i < 200; i++) {
      hints.hint(A);
      await pass(7_000);
    }
    expect(contended).toEqual([]);
    expect(times(A)).toHaveLength(200);
  });
});

test('a resource that is hinted all the time without drift is observed every two seconds at most', async () => {
  for (let i = 0; i < 6_000; i++) {
    hints.hint(A);
    await pass(10);
  }
  expect(times(A).filter((at) => at > 30_000).length).toBeLessThanOrEqual(16);
  expect(contended).toEqual([]);
});

test('a resource in progress is observed again, at growing intervals, until it has arrived', async () => {
  answer = () => ({ outcome: 'still', waiting: looks.length < 5 });
  hints.hint(A);
  await pass(120_000);
  expect(times(A)).toEqual([50, 1_050, 3_050, 7_050, 15_050]);
});

test('hints in between do not lengthen these intervals', async () => {
  answer = () => ({ outcome: 'still', waiting: true });
  for (let i = 0; i < 8; i++) {
    hints.hint(A);
    await pass(100);
  }
  const last = times(A).at(-1) ?? 0;
  await pass(1_000);
  expect(times(A).at(-1)).toBe(last + 1_000);
});

test('after stop, nothing is observed', async () => {
  hints.hint(A);
  hints.stop();
  hints.hint(B);
  await pass(10_000);
  expect(looks).toEqual([]);
});
