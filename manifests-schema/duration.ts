/** Durations as people write them: `90s`, `5m`. */
import { z } from 'zod';

const MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const PATTERN = /^\d+(ms|s|m|h|d)$/;

export const duration = z.string().regex(PATTERN, 'must be a duration such as 90s, 5m or 2h');

/** A hundred years: a date that far away can still be calculated with. */
const LONGEST_MS = 36_525 * 86_400_000;

/** `90s` → 90000; at most a hundred years. @throws RangeError for what `duration` would have refused */
export function durationMs(text: string): number {
  const [, unit = ''] = PATTERN.exec(text) ?? [];
  const ms = MS[unit];
  if (ms === undefined) throw new RangeError(`not a duration such as 90s, 5m or 2h: ${text}`);
  return Math.min(Number.parseInt(text, 10) * ms, LONGEST_MS);
}
