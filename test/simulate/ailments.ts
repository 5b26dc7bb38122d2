/** The faults of the few unwell hosts in a simulated fleet: one of each frequent kind, in turn. */
import type { AgentState } from '../../agent/core/reporting/status.ts';
import type { ResourceStatus } from '../../agent/core/types.ts';

/** The differences from a host that is well. */
export interface ProbeFailure {
  resource: ResourceStatus;
  /** Given the requested commit and the running one. */
  state(commit: string): Partial<AgentState>;
}

const UNIT = 'unit:app.service';
const SERVICE = 'service:shop/web';

/** No commit of a simulated fleet fixes these: readers of the fleet always find the same hosts on top. */
export const AILMENTS: readonly ProbeFailure[] = [
  {
    resource: { id: UNIT, sync: 'failed', health: 'degraded', reason: 'UnitFailed' },
    state: () => {
      const message = 'app.service failed: main process exited, code=exited, status=1/FAILURE';
      return {
        ...{ reason: 'UnitFailed', message: `${UNIT}: ${message}` },
        problems: [{ id: UNIT, reason: 'UnitFailed', message, file: 'app.yaml', line: 3 }],
      };
    },
  },
  {
    resource: { id: SERVICE, sync: 'synced', health: 'healthy', reason: '' },
    state(commit) {
      const message = `${SERVICE} did not become healthy with commit ${commit.slice(0, 7)}; this host was rolled back to the one before`;
      return {
        ...{ reason: 'Unhealthy', message, hostStates: ['rolled-back'], bad: [{ commit, reason: 'Unhealthy' }] },
        problems: [{ id: SERVICE, reason: 'Unhealthy', message, file: 'shop/compose.yaml', line: 4 }],
      };
    },
  },
  {
    resource: { id: SERVICE, sync: 'held', health: 'healthy', reason: 'PruneLimit' },
    state() {
      const message = 'the commit would remove 9 of 12 resources; `fairlead sync --allow-prune` lets it';
      return {
        ...{ reason: 'PruneLimit', message, hostStates: ['held'] },
        gate: { kind: 'prune', reason: message, until: null },
      };
    },
  },
];
