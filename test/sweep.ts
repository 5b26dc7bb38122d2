/**
 * Sweeps over every moment of something that takes long on real hosts. `npm test` tries a sample, other moments each time;
 * `npm run soak -- sweeps` (FAIRLEAD_THOROUGH=1) tries all. What may go wrong at each call is tried in full on the fakes.
 */
import { generator } from './random.ts';

/** Whether every moment is tried. */
export const THOROUGH = process.env.FAIRLEAD_THOROUGH === '1';
const seed = Number(process.env.FAIRLEAD_SEED ?? Date.now() % 1_000_000);

/** For the message of an assertion: a sample that failed is tried again with the same seed. */
export const SAMPLED = THOROUGH ? 'every moment' : `FAIRLEAD_SEED=${seed}`;

/** @returns the moments 1…n to try, in order: all, or the first, the last and one between */
export function momentsOf(n: number, salt = 0): number[] {
  if (THOROUGH || n <= 3) return Array.from({ length: n }, (_, i) => i + 1);
  const between = 2 + Math.floor(generator(seed + salt)() * (n - 2));
  return [1, between, n];
}

/** @returns one in `step` of these, others each time, or all */
export function sampleOf<T>(all: readonly T[], step: number, salt = 0): T[] {
  const { first, step: every } = strideOf(step, salt);
  return all.filter((_, i) => (i + 1) % every === first % every);
}

/** @returns where an open-ended sweep begins and by how much it goes on */
export function strideOf(step: number, salt = 0): { first: number; step: number } {
  if (THOROUGH) return { first: 1, step: 1 };
  return { first: 1 + Math.floor(generator(seed + salt)() * step), step };
}
