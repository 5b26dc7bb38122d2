/**
 * Sweeps over every moment of a long operation on real hosts. `npm test` tries a sample, other moments each time; `npm run soak
 * -- sweeps` (FAIRLEAD_THOROUGH=1) tries all. Faults at each call are tried in full on the fakes.
 */
import { generator } from './random.ts';

/** Whether every moment is tried. */
export const THOROUGH = process.env.FAIRLEAD_THOROUGH === '1';
const seed = Number(process.env.FAIRLEAD_SEED ?? Date.now() % 1_000_000);

/** For the message of an assertion: a sample that failed is repeated with the same seed. */
export const SAMPLED = THOROUGH ? 'every moment' : `FAIRLEAD_SEED=${seed}`;

/** @returns the moments 1…n to try, in order: all, or the first, the last and one between */
export function momentsOf(n: number, salt = 0): number[] {
  if (THOROUGH || n <= 3) return Array.from({ length: n }, (_, i) => i + 1);
  const between = 2 + Math.floor(generator(seed + salt)() * (n - 2));
  return [1, between, n];
}

/** @returns one in `step` of these, different ones each time, or all */
export function sampleOf<T>(all: readonly T[], step: number, salt = 0): T[] {
  const { first, step: every } = strideOf(step, salt);
  return all.filter((_, i) => (i + 1) % every === first % every);
}

/** @returns the start of an open-ended sweep, and its step */
export function strideOf(step: number, salt = 0): { first: number; step: number } {
  if (THOROUGH) return { first: 1, step: 1 };
  return { first: 1 + Math.floor(generator(seed + salt)() * step), step };
}
