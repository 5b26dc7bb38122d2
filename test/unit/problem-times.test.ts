/** Since when a problem lasts, and whose turn it is. */
import { expect, test } from 'vitest';
import { createProblemTimes } from '../../agent/control/problem-times.ts';
import type { Problem } from '../../agent/core/types.ts';

const problem = (id: string, reason: Problem['reason'] = 'PortInUse'): Problem => ({
  id,
  reason,
  message: '',
  file: null,
  line: null,
});
const at = (minute: number) => new Date(Date.UTC(2026, 2, 1, 12, minute));

test('a lasting problem keeps the time of its first sight, over a restart as well', () => {
  const times = createProblemTimes([]);
  const [first] = times.dated([problem('service:shop/web')], at(0));
  expect(first?.since).toBe(at(0).toISOString());
  expect(times.dated([problem('service:shop/web')], at(5))[0]?.since).toBe(at(0).toISOString());
  const later = createProblemTimes(first ? [first] : []);
  expect(later.dated([problem('service:shop/web')], at(9))[0]?.since).toBe(at(0).toISOString());
});

test('a problem that ended and returns is a new one', () => {
  const times = createProblemTimes([]);
  times.dated([problem('service:shop/web')], at(0));
  times.dated([], at(1));
  expect(times.dated([problem('service:shop/web')], at(2))[0]?.since).toBe(at(2).toISOString());
});

test('the turn is that of the reason, unless something speaks in favour of the commit', () => {
  const times = createProblemTimes([]);
  const turns = times.dated(
    [problem('a'), problem('b', 'DiskFull'), { ...problem('c', 'UnitFailed'), turn: 'host' }],
    at(0),
  );
  expect(turns.map((p) => p.turn)).toEqual(['host', 'wait', 'host']);
});
