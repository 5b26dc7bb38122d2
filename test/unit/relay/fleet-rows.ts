/** Rows of a fleet, as its hosts report them. */
import { type FleetRow, unknownRow } from '../../../agent/fleet/reader/model.ts';

export const OLD = 'a'.repeat(40);
export const NEW = 'b'.repeat(40);
export const NEWER = 'c'.repeat(40);
const DATES: Readonly<Record<string, string>> = {
  [OLD]: '2026-11-24T07:00:00.000Z',
  [NEW]: '2026-11-24T08:00:00.000Z',
  [NEWER]: '2026-11-24T09:00:00.000Z',
};

/** A host that is well and on the newer commit, except for the given fields. */
export function row(host: string, more: Partial<FleetRow>): FleetRow {
  const commit = more.commit === undefined ? NEW : more.commit;
  const date = DATES[commit ?? ''] ?? null;
  return {
    ...unknownRow(host),
    ...{ presence: 'online', sync: 'synced', health: 'healthy', at: '2026-11-24T08:01:00.000Z', ref: 'main' },
    ...{ commit, applied: commit, committedAt: date },
    ...more,
  };
}

/** @param from number of the first host */
export const rowsOf = (count: number, { from = 0, ...more }: Partial<FleetRow> & { from?: number }): FleetRow[] =>
  Array.from({ length: count }, (_, i) => row(`edge-${from + i}`, more));
