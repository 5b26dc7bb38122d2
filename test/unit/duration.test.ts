/** Durations: every value that the schema accepts can be converted to milliseconds, and no other value can. */
import { expect, test } from 'vitest';
import { duration, durationMs } from '../../manifests-schema/duration.ts';

test.each([
  ['250ms', 250],
  ['90s', 90_000],
  ['5m', 300_000],
  ['2h', 7_200_000],
  ['14d', 1_209_600_000],
  ['0s', 0],
])('%s is %d ms', (text, ms) => {
  expect(duration.safeParse(text).success).toBe(true);
  expect(durationMs(text)).toBe(ms);
});

test.each(['', '5', '5 m', '-5m', '1.5h', '5M', '1h30m', '5m\n'])('%j is no duration', (text) => {
  expect(duration.safeParse(text).success).toBe(false);
  expect(() => durationMs(text)).toThrow(RangeError);
});

test('a duration beyond all calendars is a hundred years', () => {
  expect(durationMs(`${'9'.repeat(400)}d`)).toBe(durationMs('36525d'));
  expect(new Date(durationMs('36525d')).toISOString()).toBe('2070-01-01T00:00:00.000Z');
});
