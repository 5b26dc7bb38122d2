/** When the agent trusts this host's date, and when it does not. */
import { expect, test } from 'vitest';
import { roughly, type TimeSync } from '../../agent/core/clock-doubt.ts';
import { createClockGuard } from '../../agent/engine/when/clock-guard.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const TODAY = Date.UTC(2026, 10, 30, 12);

/** A host whose date and whose uptime are set independently. */
function hostAt(date: number, { recorded = null, sync = 'no' }: { recorded?: number | null; sync?: TimeSync } = {}) {
  const host = { date, sinceBoot: 100_000, sync, asked: 0 };
  const guard = createClockGuard({
    now: () => host.date,
    sinceBoot: () => host.sinceBoot,
    recorded,
    sync: async () => {
      host.asked++;
      return host.sync;
    },
  });
  return {
    guard,
    pass(ms: number) {
      host.date += ms;
      host.sinceBoot += ms;
    },
    setBy(ms: number) {
      host.date += ms;
    },
    setSync(how: TimeSync) {
      host.sync = how;
    },
    asked: () => host.asked,
  };
}

test('a new host whose clock was never set is trusted', async () => {
  expect(await hostAt(TODAY).guard.look()).toBeNull();
});

test.each([
  ['starts at 1970 without a battery', 0, null, /says 1970-01-01 00:00 UTC, which is before this program was made/],
  [
    'is behind the recorded dates of this host',
    TODAY,
    TODAY + 2 * DAY,
    /says 2026-11-30 12:00 UTC, and this host recorded 2026-12-02/,
  ],
  [
    'is years ahead of the recorded dates of this host',
    TODAY + 9 * 365 * DAY,
    TODAY,
    /9 y after what this host recorded last/,
  ],
])('a clock that %s is wrong', async (_what, date, recorded, message) => {
  expect(await hostAt(date, { recorded }).guard.look()).toEqual({
    isWrong: true,
    message: expect.stringMatching(message),
  });
});

test('1970 is wrong whoever confirms it, and for however long', async () => {
  const host = hostAt(0, { sync: 'yes' });
  await host.guard.look();
  host.pass(3 * HOUR);
  expect((await host.guard.look())?.isWrong).toBe(true);
});

test('a date that its time server confirms is trusted, even if the host was off for years', async () => {
  const host = hostAt(TODAY + 900 * DAY, { recorded: TODAY, sync: 'yes' });
  expect(await host.guard.look()).toBeNull();
});

test.each([
  ['hours forward', 5 * HOUR, /was set forward by 5 h/],
  ['years forward', 12 * 365 * DAY, /was set forward by 12 y/],
  ['hours back', -5 * HOUR, /was set back by 5 h/],
])('a date that is set by %s is distrusted from the next check on', async (_what, ms, message) => {
  const host = hostAt(TODAY);
  await host.guard.look();
  host.pass(2 * HOUR);
  await host.guard.look();
  host.setBy(ms);
  expect((await host.guard.look())?.message).toMatch(message);
  expect(host.guard.doubt()?.isWrong).toBe(true);
});

test('the distrust ends when the date is set back', async () => {
  const host = hostAt(TODAY);
  host.setBy(5 * HOUR);
  expect(await host.guard.look()).not.toBeNull();
  host.setBy(-5 * HOUR);
  expect(await host.guard.look()).toBeNull();
});

test('the distrust ends when a time server confirms the new date', async () => {
  const host = hostAt(TODAY);
  host.setBy(5 * HOUR);
  expect(await host.guard.look()).not.toBeNull();
  host.setSync('yes');
  expect(await host.guard.look()).toBeNull();
});

test('the distrust ends when the date was not set for an hour', async () => {
  const host = hostAt(TODAY);
  host.setBy(5 * HOUR);
  await host.guard.look();
  host.pass(59 * MINUTE);
  expect(await host.guard.look()).not.toBeNull();
  host.pass(2 * MINUTE);
  expect(await host.guard.look()).toBeNull();
});

test.each([
  ['1970', 86_400_000, null],
  ['two days behind its recorded date', TODAY - 2 * DAY, TODAY],
])('a host that booted at %s trusts the date that is set by hand', async (_what, date, recorded) => {
  const host = hostAt(date, { recorded });
  expect((await host.guard.look())?.isWrong).toBe(true);
  host.setBy(TODAY + HOUR - date);
  expect(await host.guard.look()).toBeNull();
  // From then on, setting the date is judged as usual.
  host.setBy(-5 * HOUR);
  expect((await host.guard.look())?.message).toMatch(/was set back by 5 h|recorded/);
});

test('a trusted date is the reference for the next change of the date', async () => {
  const host = hostAt(TODAY);
  host.setBy(5 * HOUR);
  await host.guard.look();
  host.pass(2 * HOUR);
  expect(await host.guard.look()).toBeNull();
  host.setBy(-5 * HOUR);
  expect((await host.guard.look())?.message).toMatch(/was set back by 5 h/);
});

test('a plausible date is not checked with the time server', async () => {
  const host = hostAt(TODAY);
  await host.guard.look();
  expect(host.asked()).toBe(0);
});

test('a small correction of the clock does not cause distrust', async () => {
  const host = hostAt(TODAY);
  host.setBy(-2 * MINUTE);
  expect(await host.guard.look()).toBeNull();
});

test('a machine that slept is not taken for one whose date was set', async () => {
  const host = hostAt(TODAY);
  await host.guard.look();
  // The uptime includes the time of sleep.
  host.pass(12 * HOUR);
  expect(await host.guard.look()).toBeNull();
});

test('a date that the time server has yet to confirm may be right', async () => {
  const host = hostAt(TODAY, { sync: 'awaited' });
  expect(await host.guard.look()).toBeNull();
  expect(await host.guard.confirm()).toMatchObject({ isWrong: false });
  host.setSync('yes');
  expect(await host.guard.confirm()).toBeNull();
});

test('a confirmed date is not checked again until it is set', async () => {
  const host = hostAt(TODAY, { sync: 'yes' });
  for (let i = 0; i < 5; i++) await host.guard.confirm();
  expect(host.asked()).toBe(1);
  host.setBy(5 * HOUR);
  await host.guard.look();
  expect(host.asked()).toBe(2);
});

test.each([
  [90_000, '90 s'],
  [HOUR, '1 h'],
  [5 * HOUR, '5 h'],
  [40 * HOUR, '40 h'],
  [12 * DAY, '12 d'],
  [-9 * 365 * DAY, '9 y'],
])('%s ms are printed as %s', (ms, text) => {
  expect(roughly(ms)).toBe(text);
});
