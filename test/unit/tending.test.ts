import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createTending } from '../../agent/engine/when/retention-loop.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function tending(slices: boolean[]) {
  const done: string[] = [];
  const store = {
    tend({ before }: { before: string | null }) {
      done.push(before ?? 'whatever its age');
      return slices.shift() ?? false;
    },
  };
  const clock = { now: () => new Date(10_000), monotonic: () => 0 };
  return { done, ...createTending({ store, keepMs: 1_000, maxBytes: 1, clock }) };
}
const BEFORE = new Date(9_000).toISOString();

test('whoever waits for the run is answered first; slices follow as long as there is more', () => {
  const { done, tend } = tending([true, true, false]);
  tend();
  tend();
  expect(done).toEqual([]);
  vi.runAllTimers();
  expect(done).toEqual([BEFORE, BEFORE, BEFORE]);
});

test('what was put off is done at the end of the process, and nothing after it', () => {
  const { done, tend, stop } = tending([true]);
  stop();
  expect(done).toEqual([]);
  tend();
  stop();
  expect(done).toEqual([BEFORE]);
  vi.runAllTimers();
  expect(done).toEqual([BEFORE]);
});
