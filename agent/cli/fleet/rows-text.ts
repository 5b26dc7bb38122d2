/** The rows of a fleet, as people read them. Pure. */

import { heldText, isPaused } from '../../fleet/reader/gate.ts';
import type { Way } from '../../fleet/reader/kept.ts';
import { commitSpread, type FleetRow, isWell } from '../../fleet/reader/model.ts';
import { table } from '../text/table.ts';
import { ago, type Reader, shortId, tone } from '../text/words.ts';

export interface Counts {
  fleet: number;
  shown: number;
  well: number;
}

/** Maximum number of commits that are named at the end. */
const COMMITS = 3;
const HEAD = ['HOST', 'PRESENCE', 'SYNC', 'HEALTH', 'COMMIT', 'REPORTED', 'WHAT'];

export function rowsText(rows: readonly FleetRow[], page: Reader): string {
  const cells = rows.map((r) => [
    r.host,
    r.presence,
    r.sync,
    r.health,
    shortId(r.applied ?? r.commit),
    ago(r.at, page.now()),
    whatText(r, page.now()),
  ]);
  const paint = (cell: string, column: number) => (column >= 1 && column <= 3 ? tone(cell, page.style) : cell);
  return table(HEAD, cells, page, paint);
}

/** Why a host is as it is: why it is held or paused and until when, what is wrong, or else the subject of its commit. */
export function whatText(row: FleetRow, now: Date): string {
  const gate = row.gate && { ...row.gate, until: row.gate.until === null ? null : Date.parse(row.gate.until) };
  if (row.sync === 'held' || isPaused(row)) return heldText(gate, row.message, now.getTime()) || row.subject;
  return row.message || row.subject;
}

/** `40 of 100 hosts: 38 well (1 of them paused), 2 not; 39 on 1a2b3c4, 1 on no commit` */
export function summary(rows: readonly FleetRow[], { fleet, shown, well }: Counts): string {
  const spread = commitSpread(rows);
  const commits = spread
    .slice(0, COMMITS)
    .map(({ commit, hosts }) => `${hosts} on ${commit === null ? 'no commit' : shortId(commit)}`);
  const others = spread.length > COMMITS ? [`${spread.length - COMMITS} more commits`] : [];
  const of = shown === fleet ? '' : ` of ${fleet}`;
  const all = [...commits, ...others].join(', ');
  const paused = rows.filter((row) => isPaused(row) && isWell(row)).length;
  const ofThem = paused === 0 ? '' : ` (${paused} of them paused)`;
  return `${shown}${of} ${shown === 1 ? 'host' : 'hosts'}: ${well} well${ofThem}, ${shown - well} not${all ? `; ${all}` : ''}`;
}

/** Which hosts this source of names does not cover; null if it covers all. */
export const unknownBy = (way: Way): string | null =>
  way === 'list'
    ? LISTED
    : way === 'roll-call'
      ? 'The names are those of hosts that reported while they were listened to: hosts that are offline are unknown.'
      : null;

const LISTED = 'The names are those of the list: hosts that are not on it are unknown.';
export const nobody = (way: Way): string =>
  way === 'index'
    ? 'No host has reported to this broker.'
    : way === 'list'
      ? 'The list names no host.'
      : 'No host has reported while it was listened to.';
