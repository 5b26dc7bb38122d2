/** Durations as people write them: `90s`, `5m`. */
import { z } from 'zod';

const MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const PATTERN = /^\d+(ms|s|m|h|d)$/;

export const duration = z.string().regex(PATTERN, 'must be a duration such as 90s, 5m or 2h');

/** `90s` → 90000. @throws RangeError for what `duration` would have refused */
export function durationMs(text: string): number {
  const [, unit = ''] = PATTERN.exec(text) ?? [];
  const ms = MS[unit];
  if (ms === undefined) throw new RangeError(`not a duration such as 90s, 5m or 2h: ${text}`);
  return Number.parseInt(text, 10) * ms;
}
