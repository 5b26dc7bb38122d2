/** Parses times, counts and ids as people write them. Pure; every function throws InvalidArgumentError. */
import { InvalidArgumentError } from 'commander';

const UNITS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };
const ISO = /^\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?$/;

/**
 * `2h` or `7d` before `now`, a date (its midnight, UTC), or an ISO time, which without an offset is the machine's own.
 * @returns ISO 8601, UTC. Throws InvalidArgumentError
 */
export function parseSince(text: string, now: Date): string {
  const [, count, unit] = /^(\d+)\s*([smhdw])$/.exec(text) ?? [];
  const at = unit
    ? now.getTime() - Number(count) * UNITS[unit as keyof typeof UNITS]
    : ISO.test(text)
      ? Date.parse(text.replace(' ', 'T'))
      : Number.NaN;
  const date = new Date(at);
  if (Number.isNaN(date.getTime()) || date.getUTCFullYear() < 1970)
    throw new InvalidArgumentError('Give a time such as 2h, 7d, 2026-11-24 or 2026-11-24T08:00:00+01:00.');
  return date.toISOString();
}

/** Parses a whole number of at least 1. Throws InvalidArgumentError */
export function parseCount(text: string): number {
  if (!/^[1-9]\d{0,6}$/.test(text)) throw new InvalidArgumentError('Give a whole number of at least 1.');
  return Number(text);
}

/** The number of a run, as `history` shows it: `17` or `#17`. */
export const parseRun = (text: string): number => parseCount(text.replace(/^#/, ''));

export function parseDuration(text: string): string {
  if (!/^[1-9]\d{0,5}(s|m|h|d)$/.test(text)) throw new InvalidArgumentError('Give a duration such as 30m, 2h or 1d.');
  return text;
}

export function parseCommit(text: string): string {
  if (!/^[0-9a-f]{4,40}$/i.test(text))
    throw new InvalidArgumentError('Give the id of a commit, or at least its first four characters.');
  return text.toLowerCase();
}
