/**
 * Reads what a broker says of others' making: fields of any type and length become fields of the expected type and a bounded
 * length, without a character that would steer or reorder the text around it.
 */
import { tame } from '../../tame.ts';

export type Plain = Readonly<Record<string, unknown>>;

/** @returns null if the text is no JSON object */
export function parseObject(text: string): Plain | null {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}

export const isObject = (value: unknown): value is Plain =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** An object, or one without fields. */
export const objectIn = (value: unknown): Plain => (isObject(value) ? value : {});

/** At most `max` objects of a list. */
export const objectsIn = (value: unknown, max: number): Plain[] =>
  Array.isArray(value) ? value.slice(0, max).filter(isObject) : [];

/** One line of at most `max` characters; a value that is no text becomes empty. */
export function textIn(value: unknown, max: number): string {
  if (typeof value !== 'string') return '';
  if (value.length <= max) return tame(value);
  // A slice would keep the whole of a long text in memory; the letters joined again do not.
  return `${tame(Array.from(value.slice(0, max - 1)).join(''))}…`;
}

/** A count or a time in milliseconds. */
export const numberIn = (value: unknown): number | null =>
  typeof value === 'number' && Number.isFinite(value) ? value : null;

/** Milliseconds since 1970 of an ISO 8601 time. */
export function timeIn(value: unknown): number | null {
  if (typeof value !== 'string' || value.length > MAX_TIME) return null;
  const ms = Date.parse(value);
  return Number.isNaN(ms) ? null : ms;
}

const MAX_TIME = 40;
