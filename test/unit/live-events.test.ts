/** Events of a run are written while it is in progress, each once. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { ActionRecord } from '../../agent/core/types.ts';
import { createLiveEvents } from '../../agent/engine/run/records/live-events.ts';
import type { EngineDeps } from '../../agent/engine/types.ts';
import type { EventDraft } from '../../agent/store/history/outbox.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const action = (id: string, result: ActionRecord['result'] = 'done'): ActionRecord =>
  ({ id: `file:${id}`, op: 'update', why: [], result, drift: false, durationMs: 1 }) as ActionRecord;

function start() {
  const written: EventDraft[] = [];
  let isFull = false;
  const push = (events: readonly EventDraft[]) => {
    if (isFull) throw new Error('disk full');
    written.push(...events);
  };
  const deps = { store: { outbox: { push } }, clock: { now: () => new Date(0) } } as unknown as EngineDeps;
  const fill = (on: boolean) => {
    isFull = on;
  };
  return { live: createLiveEvents(deps, 7), written, fill };
}

test('a long run reports its actions while it is in progress', () => {
  const { live, written } = start();
  live.tell(action('/a'));
  live.tell(action('/b'));
  vi.advanceTimersByTime(1_000);
  expect(written.map((e) => [e.type, e.run, e.data.resource])).toEqual([
    ['change', 7, 'file:/a'],
    ['change', 7, 'file:/b'],
  ]);
  const { waiting, wasReported } = live.end();
  expect([waiting, wasReported(action('/a')), wasReported(action('/a')), wasReported(action('/c'))]).toEqual([
    [],
    true,
    false,
    false,
  ]);
});

test('a short run writes no events of its own', () => {
  const { live, written } = start();
  live.tell(action('/a'));
  const { waiting, wasReported } = live.end();
  vi.advanceTimersByTime(1_000);
  expect([written, waiting.length, wasReported(action('/a'))]).toEqual([[], 1, true]);
});

test('a failure is left to the end of the run, which knows whether it is news', () => {
  const { live } = start();
  live.tell(action('/a', 'failed'));
  const { waiting, wasReported } = live.end();
  expect([waiting, wasReported(action('/a', 'failed'))]).toEqual([[], false]);
});

test('an event that cannot be written waits for the end', () => {
  const { live, written, fill } = start();
  fill(true);
  live.tell(action('/a'));
  vi.advanceTimersByTime(1_000);
  fill(false);
  expect([written, live.end().waiting.length]).toEqual([[], 1]);
});
