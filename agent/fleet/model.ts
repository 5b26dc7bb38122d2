/** The fleet as the broker's retained messages tell it. Pure. */
import { anyStatus } from '../../manifests-schema/payloads.ts';

export interface FleetRow {
  host: string;
  presence: 'online' | 'offline' | 'unknown';
  sync: string;
  health: string;
  commit: string | null;
  subject: string;
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
  const { sync, health, desired, at, reason, message } = status.data;
  const { commit = null, subject = '' } = desired ?? {};
  rows.set(host, { ...row, sync, health, commit, subject, at, reason, message });
}

export const sortRows = (rows: ReadonlyMap<string, FleetRow>): FleetRow[] =>
  [...rows.values()].sort((a, b) => (a.host < b.host ? -1 : 1));

export const isWell = (row: FleetRow): boolean =>
  row.presence === 'online' && row.sync === 'synced' && row.health === 'healthy';

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
