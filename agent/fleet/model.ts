/** The fleet as the broker's retained messages tell it. Pure. */
import { anyStatus } from '../../manifests-schema/payloads.ts';
import { matches } from '../core/glob.ts';

export interface FleetRow {
  host: string;
  presence: 'online' | 'offline' | 'unknown';
  sync: string;
  health: string;
  /** What its repository asks for: the commit, its subject, and when it was made. */
  commit: string | null;
  subject: string;
  committedAt: string | null;
  /** The commit that was applied last. */
  applied: string | null;
  labels: Readonly<Record<string, string>>;
  /** When the host last reported, ISO 8601. */
  at: string | null;
  reason: string;
  message: string;
}

const unknownRow = (host: string): FleetRow => ({
  host,
  presence: 'unknown',
  sync: 'unknown',
  health: 'unknown',
  commit: null,
  subject: '',
  committedAt: null,
  applied: null,
  labels: {},
  at: null,
  reason: '',
  message: '',
});

/** Takes one message below `<prefix>/<fleet>/hosts/` into `rows`; what is not ours or not readable changes nothing. */
export function foldMessage(rows: Map<string, FleetRow>, topic: string, payload: string): void {
  const [host, leaf] = topic.split('/').slice(-2);
  if (!host || (leaf !== 'presence' && leaf !== 'status')) return;
  const row = rows.get(host) ?? unknownRow(host);
  if (leaf === 'presence') {
    if (payload === 'online' || payload === 'offline') rows.set(host, { ...row, presence: payload });
    return;
  }
  const status = anyStatus.safeParse(parse(payload));
  if (!status.success) {
    rows.set(host, {
      ...row,
      reason: 'UnreadableStatus',
      message: 'its status is not one that this version can read',
    });
    return;
  }
  const { sync, health, desired, at, reason, message, labels } = status.data;
  const { commit = null, subject = '', committedAt = null } = desired ?? {};
  const applied = status.data.applied?.commit ?? null;
  rows.set(host, { ...row, sync, health, commit, subject, committedAt, applied, labels, at, reason, message });
}

/** Nothing came of it, or only one of its two topics. */
export const isPartial = (row: FleetRow | undefined): boolean =>
  row === undefined || row.presence === 'unknown' || (row.at === null && row.reason === '');

/** A host of which the broker did not give all. What came of it is shown. */
export const notDelivered = (host: string, row: FleetRow = unknownRow(host)): FleetRow => ({
  ...row,
  reason: 'NotDelivered',
  message: `the broker gave no ${row.presence === 'unknown' ? 'presence' : 'status'} of this host, although it was asked three times`,
});

/** Those that need somebody come first; then by name. */
export const sortRows = (rows: ReadonlyMap<string, FleetRow>): FleetRow[] =>
  [...rows.values()].sort((a, b) => Number(isWell(a)) - Number(isWell(b)) || (a.host < b.host ? -1 : 1));

export interface Filter {
  /** A glob such as `berlin-*`. */
  host?: string | undefined;
  /** All of these. */
  labels: readonly (readonly [key: string, value: string])[];
  /** Of sync, health or presence: any one of them. */
  state?: string | undefined;
  /** Not on the newest commit that any host of the fleet was asked for. */
  behind: boolean;
}

export function select(rows: readonly FleetRow[], { host, labels, state, behind }: Filter): FleetRow[] {
  const newest = newestCommit(rows);
  return rows.filter(
    (row) =>
      (host === undefined || matches(host, row.host)) &&
      labels.every(([key, value]) => row.labels[key] === value) &&
      (state === undefined || [row.sync, row.health, row.presence].includes(state)) &&
      (!behind || row.applied !== newest),
  );
}

/** By the date that git knows. */
export function newestCommit(rows: readonly FleetRow[]): string | null {
  let newest: FleetRow | null = null;
  for (const row of rows)
    if (row.committedAt !== null && (newest?.committedAt == null || row.committedAt > newest.committedAt)) newest = row;
  return newest?.commit ?? null;
}

/** How many hosts run which commit, the most first. */
export function commitSpread(rows: readonly FleetRow[]): { commit: string | null; hosts: number }[] {
  const counts = new Map<string | null, number>();
  for (const { applied } of rows) counts.set(applied, (counts.get(applied) ?? 0) + 1);
  return [...counts].map(([commit, hosts]) => ({ commit, hosts })).sort((a, b) => b.hosts - a.hosts);
}

export const isWell = (row: FleetRow): boolean =>
  row.presence === 'online' && row.sync === 'synced' && row.health === 'healthy';

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
