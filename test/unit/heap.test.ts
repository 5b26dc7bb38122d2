import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createHeap } from '../../agent/system/heap.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const MIB = 1024 * 1024;

/** A heap of 50 MiB, of which a collection leaves 20. @param busy the state of runs, each time that it is asked */
function heapOf(busy: boolean[] = []) {
  const now = { used: 50 * MIB, collections: 0 };
  const heap = createHeap({
    collect() {
      now.collections++;
      now.used = 20 * MIB;
    },
    bytes: () => now.used,
    busy: () => busy.shift() ?? false,
  });
  return { now, heap };
}

test('after a run the garbage is collected, once the caller that waits for it has its answer', () => {
  const { now, heap } = heapOf();
  heap.rest();
  heap.rest();
  expect(now.collections).toBe(0);
  vi.runAllTimers();
  expect(now.collections).toBe(1);
});

test('a run that left little garbage causes no collection', () => {
  const { now, heap } = heapOf();
  heap.rest();
  vi.runAllTimers();
  now.used = 22 * MIB;
  heap.rest();
  vi.runAllTimers();
  expect(now.collections).toBe(1);
  now.used = 30 * MIB;
  heap.rest();
  vi.runAllTimers();
  expect(now.collections).toBe(2);
});

test('what the run after a collection takes again is no garbage', () => {
  const { now, heap } = heapOf();
  heap.rest();
  vi.runAllTimers();
  now.used = 23.9 * MIB;
  heap.rest();
  now.used = 24.8 * MIB;
  heap.rest();
  vi.runAllTimers();
  expect(now.collections).toBe(1);
  now.used = 25 * MIB;
  heap.rest();
  vi.runAllTimers();
  expect(now.collections).toBe(2);
});

test('a large run right after a collection leaves garbage', () => {
  const { now, heap } = heapOf();
  heap.rest();
  vi.runAllTimers();
  now.used = 50 * MIB;
  heap.rest();
  vi.runAllTimers();
  expect(now.collections).toBe(2);
});

test('a run in progress is not delayed', () => {
  const { now, heap } = heapOf([true, true]);
  heap.rest();
  vi.advanceTimersToNextTimer();
  vi.advanceTimersToNextTimer();
  expect(now.collections).toBe(0);
  vi.advanceTimersToNextTimer();
  expect(now.collections).toBe(1);
});

test('nothing is collected after the end, or if Node offers no collection', () => {
  const { now, heap } = heapOf();
  heap.rest();
  heap.stop();
  vi.runAllTimers();
  expect(now.collections).toBe(0);
  createHeap({ collect: null, bytes: () => 50 * MIB, busy: () => false }).rest();
  expect(vi.getTimerCount()).toBe(0);
});
