import { expect, test } from 'vitest';
import { generator } from '../random.ts';
import { slopeOf } from '../soak/slope.ts';

test('a straight line is found exactly, and a flat one is zero', () => {
  const line = Array.from({ length: 20 }, (_, x) => ({ x, y: 3 * x + 7 }));
  expect(slopeOf(line).slope).toBeCloseTo(3);
  expect(slopeOf(line.map(({ x }) => ({ x, y: 5 })))).toEqual({ slope: 0, low: 0, high: 0 });
});

test('noise is mistaken for a slope about as rarely as promised, also with autocorrelation; a real slope is found', () => {
  const random = generator(7);
  const noise = (n: number, stay: number) => {
    let last = 0;
    return Array.from({ length: n }, () => {
      last = stay * last + (random() + random() + random() - 1.5);
      return last;
    });
  };
  for (const stay of [0, 0.7]) {
    let wrong = 0;
    for (let i = 0; i < 400; i++) {
      const { low, high } = slopeOf(noise(60, stay).map((y, x) => ({ x, y })));
      if (low > 0 || high < 0) wrong++;
    }
    expect(wrong).toBeLessThan(48);
  }
  const grows = noise(60, 0.7).map((y, x) => ({ x, y: y + 0.3 * x }));
  expect(slopeOf(grows).low).toBeGreaterThan(0);
});
