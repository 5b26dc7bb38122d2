import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseCount, parseSince } from '../../agent/cli/since.ts';

const now = new Date('2026-11-24T12:00:00.000Z');
const since = (text: string) => parseSince(text, now);

test('since: durations count back from now, dates and times keep their offset', () => {
  expect(since('2h')).toBe('2026-11-24T10:00:00.000Z');
  expect(since('7d')).toBe('2026-11-17T12:00:00.000Z');
  expect(since('90s')).toBe('2026-11-24T11:58:30.000Z');
  expect(since('2026-11-20')).toBe('2026-11-20T00:00:00.000Z');
  expect(since('2026-11-20T08:00:00+02:00')).toBe('2026-11-20T06:00:00.000Z');
  expect(since('2026-11-20T08:00Z')).toBe('2026-11-20T08:00:00.000Z');
  expect(since('2026-11-20 08:00')).toBe(new Date('2026-11-20T08:00').toISOString());
});

test('since: any other text is refused', () => {
  for (const text of [
    '',
    'yesterday',
    '2',
    '2y',
    '-2h',
    '2026',
    '2026-13-01',
    '2026-11-20T25:00Z',
    '24.11.2026',
    `${'9'.repeat(30)}w`,
  ])
    expect(() => since(text), text).toThrow(/Give a time/);
  fc.assert(
    fc.property(fc.string(), (text) => {
      try {
        expect(since(text)).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
      } catch (thrown) {
        expect(String(thrown)).toMatch(/Give a time/);
      }
    }),
  );
});

test('counts are positive integers', () => {
  expect(parseCount('20')).toBe(20);
  for (const text of ['0', '-1', '1.5', 'many', '']) expect(() => parseCount(text)).toThrow(/whole number/);
});
