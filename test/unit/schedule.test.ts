/** When scheduled runs start, while clocks are set, machines sleep and calendars have gaps. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createSchedule, type Schedule } from '../../agent/engine/when/schedule.ts';

process.env.TZ = 'UTC';
let schedule: Schedule;
let due: string[];
let jumps: number[];

function start(expression: string, offsetMs = 0): void {
  schedule = createSchedule({
    expression,
    offsetMs,
    clock: { now: () => new Date(), monotonic: () => performance.now() },
    due: () => due.push(new Date().toISOString().slice(0, 19)),
    jumped: (ms) => jumps.push(Math.round(ms / 1_000)),
  });
  schedule.start();
}
const pass = (seconds: number) => vi.advanceTimersByTimeAsync(seconds * 1_000);
/** The date changes while waiting; no time passes. */
const set = (date: string) => vi.setSystemTime(new Date(date));

beforeEach(() => {
  vi.useFakeTimers({ now: new Date('2026-03-01T12:00:30Z') });
  due = [];
  jumps = [];
});
afterEach(() => {
  schedule.stop();
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

test('every match causes one run, at this host’s place, even if the place is after the next match', async () => {
  start('*/20 * * * * *', 50_000);
  await pass(120);
  const [first] = due;
  expect(due.map((at) => (Date.parse(`${at}Z`) - Date.parse(`${first}Z`)) / 1_000)).toEqual([0, 20, 40, 60]);
  expect(first).toBe('2026-03-01T12:01:30');
  expect(jumps).toEqual([]);
});

test('a clock that is set back by a day does not stop runs: the next one follows the schedule of the new time', async () => {
  start('* * * * *');
  await pass(40);
  set('2026-02-28T12:00:00Z');
  await pass(130);
  expect(jumps).toEqual([-86_470]);
  expect(due).toEqual(['2026-03-01T12:01:00', '2026-02-28T12:01:00', '2026-02-28T12:02:00']);
});

test('a clock that is set forward, even by years, causes one run at once and none of those between', async () => {
  start('* * * * *');
  await pass(5);
  set('2059-07-01T00:00:10Z');
  await pass(10);
  expect(due).toHaveLength(1);
  expect(schedule.next()).toBe('2059-07-01T00:01:00.000Z');
  await pass(60);
  expect(due).toHaveLength(2);
});

test('a machine that slept through its daily run makes it when it wakes, and makes none if none was due', async () => {
  start('0 3 * * *');
  set('2026-03-02T02:00:00Z');
  await pass(10);
  expect([jumps.length, due]).toEqual([1, []]);
  set('2026-03-02T08:00:00Z');
  await pass(10);
  expect(due).toHaveLength(1);
  await pass(3_600);
  expect(due).toHaveLength(1);
});

test('a small correction by a time server is no jump', async () => {
  start('* * * * *');
  for (let i = 0; i < 20; i++) {
    await pass(10);
    set(new Date(Date.now() + 400).toISOString());
  }
  expect(jumps).toEqual([]);
  expect(due).toHaveLength(3);
});

test('the leap day exists in leap years, and a run that is due only then waits for it', async () => {
  start('0 12 29 2 *');
  expect(schedule.next()).toBe('2028-02-29T12:00:00.000Z');
  set('2028-02-29T11:59:55Z');
  await pass(20);
  expect(due).toHaveLength(1);
  set('2028-02-29T23:59:50Z');
  await pass(20);
  expect([due.length, schedule.next()]).toEqual([1, '2032-02-29T12:00:00.000Z']);
});
