/** Checks, as core and engine know them. Pure. */
import type { KindDefinition } from '../../core/kind.ts';
import type { CheckSpec } from '../../core/specs.ts';

export const check: KindDefinition<CheckSpec> = {
  name: 'check',
  section: 'checks',
  rank: 5,
  traits: {
    observing: 'runs something',
    drifts: false,
    confirm: 'durable',
    harmlessWhenNew: false,
    survivesDecommission: false,
    judgesEveryRun: true,
    mayRepeat: false,
    onRollback: () => 'run',
  },
};
