/** The rows of a fleet, from the retained messages of the broker. Pure. */
import { anyStatus } from '../../../manifests-schema/payloads.ts';
import { matches } from '../../core/names/glob.ts';
import { isPaused } from './gate.ts';

export interface FleetRow {
  host: string;
  presence: 'online' | 'offline' | 'unknown';
  sync: string;
  health: string;
  /** The ref of its agent.yaml: a branch, a tag, a pattern of tags or a commit. */
  ref: string | null;
  /** The desired commit, its subject, and its date. */
  commit: string | null;
  subject: string;
  committedAt: string | null;
  /** The commit that it runs: the newest that it matched, or else the one that was applied last. */
  applied: string | null;
  labels: Readonly<Record<string, string>>;
  /** Commands over the broker that it follows. */
  commands: readonly string[];
  /** When the host last reported, ISO 8601. */
  at: string | null;
  reason: string;
  message: string;
  /** The gate that keeps changes away from it, such as a pause or a window; `until` is ISO 8601. */
  gate: { kind: string; reason: string; until: string | null } | null;
}

export const unknownRow = (host: string): FleetRow => ({
  host,
  presence: 'unknown',
  sync: 'unknown',
  health: 'unknown',
  ref: null,
  commit: null,
  subject: '',
  committedAt: null,
  applied: null,
  labels: {},
  commands: [],
  at: null,
  reason: '',
  message: '',
  gate: null,
});

/** Adds one message below `<prefix>/<fleet>/hosts/` to `rows`; foreign and unreadable messages change nothing. */
export function foldMessage(rows: Map<string, FleetRow>, topic: string, payload: string): void {
  const [host, leaf] = topic.split('/').slice(-2);
  // An empty payload clears a topic: the host is being forgotten.
  if (!host || (leaf !== 'presence' && leaf !== 'status') || payload === '') return;
  const row = rows.get(host) ?? unknownRow(host);
  if (leaf === 'presence') {
    if (payload === 'online' || payload === 'offline') rows.set(host, { ...row, presence: payload });
    return;
  }
  const status = anyStatus.safeParse(parseJson(payload));
  if (!status.success) {
    rows.set(host, {
      ...row,
      reason: 'UnreadableStatus',
      message: 'its status is not one that this version can read',
    });
    return;
  }
  const { sync, health, desired, at, reason, message, labels, commands, gate } = status.data;
  const { ref = null, commit = null, subject = '', committedAt = null } = desired ?? {};
  // A host that a commit does not change applies nothing, but matches it.
  const applied = sync === 'synced' && commit !== null ? commit : (status.data.applied?.commit ?? null);
  rows.set(host, {
    ...row,
    sync,
    health,
    ref,
    commit,
    subject,
    committedAt,
    applied,
    labels,
    commands,
    at,
    reason,
    message,
    gate,
  });
}

/** Whether none, or only one, of its two topics was delivered. */
export const isPartial = (row: FleetRow | undefined): boolean =>
  row === undefined || row.presence === 'unknown' || (row.at === null && row.reason === '');

/** The row of a host whose topics the broker did not deliver completely. */
export const notDelivered = (host: string, row: FleetRow = unknownRow(host)): FleetRow => ({
  ...row,
  reason: 'NotDelivered',
  message: `the broker gave no ${row.presence === 'unknown' ? 'presence' : 'status'} of this host, although it was asked three times`,
});

/** Hosts that are not well come first, then paused ones, then the others; each by name. */
export const sortRows = (rows: ReadonlyMap<string, FleetRow>): FleetRow[] =>
  [...rows.values()].sort((a, b) => rankOf(a) - rankOf(b) || (a.host < b.host ? -1 : 1));

function rankOf(row: FleetRow): number {
  if (!isWell(row)) return 0;
  return isPaused(row) ? 1 : 2;
}

export interface Filter {
  /** A glob such as `berlin-*`. */
  host?: string | undefined;
  /** All of these. */
  labels: readonly (readonly [key: string, value: string])[];
  /** A sync, a health, a presence or `paused`; the host has to have one of them. */
  state?: string | undefined;
  /** Only hosts that do not run the newest commit of the fleet. */
  behind: boolean;
}

export function select(rows: readonly FleetRow[], filter: Filter): FleetRow[] {
  const newest = filter.behind ? newestCommit(rows) : null;
  return rows.filter((row) => isChosen(row, filter, newest));
}

/** @param newest commit of the whole fleet, if the filter selects hosts that are behind */
export const isChosen = (row: FleetRow, { host, labels, state, behind }: Filter, newest: string | null): boolean =>
  (host === undefined || matches(host, row.host)) &&
  labels.every(([key, value]) => row.labels[key] === value) &&
  (state === undefined ||
    [row.sync, row.health, row.presence].includes(state) ||
    (state === 'paused' && isPaused(row))) &&
  (!behind || row.applied !== newest);

/** By the committer date. */
export function newestCommit(rows: Iterable<FleetRow>): string | null {
  let newest: FleetRow | null = null;
  for (const row of rows)
    if (row.committedAt !== null && (newest?.committedAt == null || row.committedAt > newest.committedAt)) newest = row;
  return newest?.commit ?? null;
}

/** Number of hosts for each commit, the largest first. */
export function commitSpread(rows: readonly FleetRow[]): { commit: string | null; hosts: number }[] {
  const counts = new Map<string | null, number>();
  for (const { applied } of rows) counts.set(applied, (counts.get(applied) ?? 0) + 1);
  return [...counts].map(([commit, hosts]) => ({ commit, hosts })).sort((a, b) => b.hosts - a.hosts);
}

export const isWell = (row: FleetRow): boolean =>
  row.presence === 'online' && row.sync === 'synced' && row.health === 'healthy';

/** @returns null for text that is not JSON */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
