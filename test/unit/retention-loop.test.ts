import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createTending } from '../../agent/engine/when/retention-loop.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function tending(slices: (boolean | Error)[]) {
  const done: string[] = [];
  const broken: unknown[] = [];
  const store = {
    tend({ before }: { before: string | null }) {
      done.push(before ?? 'whatever its age');
      const slice = slices.shift() ?? false;
      if (slice instanceof Error) throw slice;
      return slice;
    },
  };
  const clock = { now: () => new Date(10_000), monotonic: () => 0 };
  const broke = (thrown: unknown) => void broken.push(thrown);
  return { done, broken, ...createTending({ store, keepMs: 1_000, maxBytes: 1, clock, broke }) };
}
const BEFORE = new Date(9_000).toISOString();

test('a caller that waits for the run is answered first; slices follow as long as there is more', () => {
  const { done, tend } = tending([true, true, false]);
  tend();
  tend();
  expect(done).toEqual([]);
  vi.runAllTimers();
  expect(done).toEqual([BEFORE, BEFORE, BEFORE]);
});

test('postponed work is done at the end of the process, and nothing after it', () => {
  const { done, tend, stop } = tending([true]);
  stop();
  expect(done).toEqual([]);
  tend();
  stop();
  expect(done).toEqual([BEFORE]);
  vi.runAllTimers();
  expect(done).toEqual([BEFORE]);
});

test('a slice that throws, as on a broken disk, is logged and ends nothing; it is tried again after the next run', () => {
  const malformed = new Error('database disk image is malformed');
  const { done, broken, tend, stop } = tending([malformed, true, false, malformed]);
  tend();
  expect(() => vi.runAllTimers()).not.toThrow();
  expect([done, broken]).toEqual([[BEFORE], [malformed]]);
  tend();
  vi.runAllTimers();
  expect(done).toEqual([BEFORE, BEFORE, BEFORE]);
  tend();
  expect(stop).not.toThrow();
  expect(broken).toEqual([malformed, malformed]);
});
