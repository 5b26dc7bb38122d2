/** How the page writes times. */
import { expect, test } from 'vitest';
import { clocks } from '../../../agent/dashboard/model/words.ts';

const second = (hours: number, minutes: number, seconds = 0) =>
  new Date(2026, 10, 30, hours, minutes, seconds).getTime() / 1_000;

test('a time axis has minutes, and the day where it begins', () => {
  expect(clocks([second(8, 0), second(8, 5)])).toEqual(['08:00\n11-30', '08:05']);
});

test('a time axis with ticks closer than a minute has seconds, so that no two labels are equal', () => {
  expect(clocks([second(8, 0), second(8, 0, 15), second(8, 0, 30)])).toEqual([
    ...['08:00:00\n11-30', '08:00:15', '08:00:30'],
  ]);
});
