/** Services of stacks, as core and engine know them. Pure. */
import type { ServiceSpec } from '../../compose/stack/model.ts';
import type { KindDefinition } from '../../core/kind.ts';
import { names, provides } from './names.ts';

export const service: KindDefinition<ServiceSpec> = {
  name: 'service',
  declared: null,
  mounts: (spec) => spec.mounts.filter((m) => m.type === 'bind').map((m) => m.source),
  provides,
  names,
  traits: {
    observing: 'free',
    drifts: true,
    // Health reports containers that end with their exit codes, and `max_failure_ratio` tolerates some.
    toldByHealth: ['state'],
    confirm: 'durable',
    harmlessWhenNew: false,
    survivesDecommission: false,
    judgesEveryRun: false,
    mayRepeat: false,
    onRollback: () => 'run',
  },
};
