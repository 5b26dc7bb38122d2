/** Small pieces of text. Pure: the time is passed in, in milliseconds. */
import { spanText } from '../../core/names/span.ts';

const two = (n: number): string => String(n).padStart(2, '0');

export const shortId = (commit: string): string => commit.slice(0, 7) || '–';

/** `3 min ago` */
export const ago = (at: number, now: number): string => `${spanText(now - at)} ago`;

export const count = (n: number, what: string): string => `${n.toLocaleString('en')} ${what}${n === 1 ? '' : 's'}`;

/** Labels of a time axis: `14:05`, with seconds where ticks are closer than minutes, and the day where a new one begins. @param ticks in seconds */
export function clocks(ticks: readonly number[]): string[] {
  let day = '';
  const isFine = ticks.some((second) => second % 60 !== 0);
  return ticks.map((second) => {
    const at = new Date(second * 1_000);
    const today = `${two(at.getMonth() + 1)}-${two(at.getDate())}`;
    const isNew = today !== day;
    day = today;
    const minute = `${two(at.getHours())}:${two(at.getMinutes())}`;
    const time = isFine ? `${minute}:${two(at.getSeconds())}` : minute;
    return isNew ? `${time}\n${today}` : time;
  });
}

/** `2026-11-24 08:00`, by the clock of the reader. */
export function clock(at: number): string {
  const date = new Date(at);
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${two(date.getHours())}:${two(date.getMinutes())}`;
}

/** `12.4 GB` */
export function bytes(n: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  let value = n;
  let unit = 0;
  while (Math.abs(value) >= 1_000 && unit < units.length - 1) {
    value /= 1_000;
    unit += 1;
  }
  return `${value < 10 && unit > 0 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}
