/** Converts a row of the fleet for notifications. Pure. */
import { healthState, syncState } from '../../../manifests-schema/payloads.ts';
import { type Sight, sightOf } from '../../notify/model/sight.ts';
import type { FleetRow } from '../reader/model.ts';

/** Held states that need nobody. */
const PLANNED: Readonly<Record<string, string>> = {
  WindowClosed: 'window',
  Observing: 'observe',
  AgentUpgrading: 'upgrade',
};

export function sightOfRow(row: FleetRow): Sight {
  const { host, presence, at, reason, message, commit, subject, committedAt } = row;
  const sync = syncState.safeParse(row.sync);
  const health = healthState.safeParse(row.health);
  // Nothing can be reported about a host that never reported, or whose states are unknown.
  if (at === null || !sync.success || !health.success) return { host, trouble: null };
  if (presence === 'offline') {
    const brief = { at, reason: '', message: '', turn: 'host' as const, commit: null, subject: '', author: '' };
    return { host, trouble: 'offline', key: 'offline', brief: { ...brief, problems: [], problemsTotal: 0 } };
  }
  if (presence !== 'online') return { host, trouble: null };
  const gate = PLANNED[reason];
  return sightOf({
    ...{ host, at, reason, message, sync: sync.data, health: health.data, problems: [], problemsTotal: 0 },
    gate: gate === undefined ? null : { kind: gate, reason, until: null },
    desired:
      commit === null ? null : { ref: '', commit, subject, author: '', committedAt: committedAt ?? at, signer: null },
  });
}
