/** systemd units, as core and engine know them. Pure. */
import type { KindDefinition } from '../../core/kind.ts';
import type { UnitSpec } from '../../core/specs.ts';

export const unit: KindDefinition<UnitSpec> = {
  name: 'unit',
  section: 'units',
  rank: 2,
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
