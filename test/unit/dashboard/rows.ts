/** Rows of hosts for the page's tests. */
import { type Judged, judge } from '../../../agent/dashboard/model/judged.ts';
import { type Row, unknownRow } from '../../../agent/dashboard/model/row.ts';

export const NOW = Date.parse('2026-11-30T08:00:00.000Z');
export const MINUTE = 60_000;

/** A host that is well, except for the given fields. */
export const rowOf = (host: string, change: Partial<Row> = {}): Row => ({
  ...unknownRow(host),
  ...{
    presence: 'online',
    sync: 'synced',
    health: 'healthy',
    commit: 'a'.repeat(40),
    runs: 'a'.repeat(40),
    applied: 'a'.repeat(40),
  },
  ...{ subject: 'Raise the limit', committedAt: NOW - 90 * MINUTE, at: NOW - MINUTE, next: NOW + MINUTE },
  ...change,
});

export const judged = (host: string, change: Partial<Row> = {}): Judged => judge(rowOf(host, change), NOW);
export const hostsOf = (all: readonly Judged[]): string[] => all.map(({ row }) => row.host);
