/** Services of stacks, as core and engine know them. Pure. */
import type { KindDefinition } from '../../core/kind.ts';

export const service: KindDefinition = {
  name: 'service',
  section: null,
  rank: 3,
  traits: {
    observing: 'free',
    drifts: true,
    confirm: 'durable',
    harmlessWhenNew: false,
    survivesDecommission: false,
    judgesEveryRun: false,
    mayRepeat: false,
    onRollback: () => 'run',
  },
};
