/** Jobs, as core and engine know them. Pure. */
import type { KindDefinition } from '../../core/kind.ts';
import type { JobSpec } from '../../core/specs.ts';

export const job: KindDefinition<JobSpec> = {
  name: 'job',
  section: 'jobs',
  rank: 4,
  traits: {
    observing: 'runs something',
    drifts: false,
    confirm: 'durable',
    harmlessWhenNew: false,
    survivesDecommission: false,
    judgesEveryRun: false,
    mayRepeat: false,
    onRollback: (spec) => spec.onRollback,
  },
};
