/** The small parts of the texts for people. Pure. */
import { ahead as aheadMs, spanText } from '../../core/names/span.ts';
import type { Page, Style } from './table.ts';

/** The reader: the width of their lines, colours, and their time zone. */
export interface Reader extends Page {
  now(): Date;
}

export const shortId = (commit: string | null | undefined): string => commit?.slice(0, 7) || '-';

export function ago(at: string | null, now: Date): string {
  return at === null ? '-' : `${spanText(now.getTime() - Date.parse(at))} ago`;
}

/** `in 34 s`; `now` for a time that has passed. */
export const ahead = (at: string, now: Date): string => aheadMs(Date.parse(at), now.getTime());

/** `2026-11-24 08:00:00`, UTC, as everywhere in fairlead. */
export const clockTime = (at: string): string => at.replace('T', ' ').slice(0, 19);

/** `2026-11-24 09:00 +01:00`: a time to come, by the clock of the reader. */
export function localTime(at: string): string {
  const date = new Date(at);
  const two = (n: number) => String(n).padStart(2, '0');
  const east = -date.getTimezoneOffset();
  const zone = `${east < 0 ? '-' : '+'}${two(Math.floor(Math.abs(east) / 60))}:${two(Math.abs(east) % 60)}`;
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${two(date.getHours())}:${two(date.getMinutes())} ${zone}`;
}

/** `370 ms`, `12.4 s` */
export const took = (ms: number): string => (ms < 10_000 ? `${ms} ms` : `${(ms / 1_000).toFixed(1)} s`);

export const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`;

interface Reason {
  field: string;
  from?: string | undefined;
  to?: string | undefined;
}

export const reasons = (why: readonly Reason[]): string =>
  why
    .map(({ field, from, to }) => (from === undefined ? `${field}: ${to ?? ''}` : `${field}: ${from} → ${to ?? ''}`))
    .join('; ');

const GOOD = ['synced', 'healthy', 'online', 'done'];
const BAD = ['failed', 'degraded', 'offline', 'rolled-back', 'blocked'];

export function tone(word: string, style: Style): string {
  if (GOOD.includes(word)) return style.green(word);
  return BAD.includes(word) ? style.red(word) : style.yellow(word);
}

interface Author {
  author: string;
  committer?: string | undefined;
  signer?: string | null | undefined;
}

/** Author; committer and signer where they say more. */
export function whose({ author, committer, signer }: Author): string {
  const by = committer !== undefined && committer !== author ? `, committed by ${committer}` : '';
  return `${author}${by}${signer ? `, signed by ${signer}` : ''}`;
}
