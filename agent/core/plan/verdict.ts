/** The result of a run as the two answers of status, `sync` and `health`. Pure. */
import type { HealthState, ResourceStatus, SyncState } from '../types.ts';

const WORST_FIRST: readonly SyncState[] = ['failed', 'rolled-back', 'held', 'out-of-sync', 'progressing', 'synced'];
const HEALTH_WORST_FIRST: readonly HealthState[] = ['degraded', 'progressing', 'unknown', 'healthy'];

/** The worst of the resources' states and of `hostStates` (a rejected commit, a hold). */
export function syncOf(resources: readonly ResourceStatus[], hostStates: readonly SyncState[]): SyncState {
  if (hostStates.includes('unassigned')) return 'unassigned';
  const all = new Set<SyncState>(hostStates);
  for (const { sync } of resources) all.add(sync);
  return WORST_FIRST.find((state) => all.has(state)) ?? 'synced';
}

/** The worst health of all resources. A resource that was never created because it is `held` has no health and is left out. */
export function healthOf(resources: readonly ResourceStatus[]): HealthState {
  const all = new Set<HealthState>();
  for (const { sync, health } of resources) if (sync !== 'held' || health !== 'unknown') all.add(health);
  return HEALTH_WORST_FIRST.find((state) => all.has(state)) ?? 'unknown';
}
