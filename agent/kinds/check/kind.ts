/** Checks, as core and engine know them. Pure. */
import type { CheckEntry } from '../../../manifests-schema/kinds/check.ts';
import type { KindDefinition } from '../../core/kind.ts';
import { checkNames } from './names.ts';
import { renderCheck } from './render.ts';
import type { CheckSpec } from './spec.ts';

export const check: KindDefinition<CheckSpec, CheckEntry> = {
  name: 'check',
  declared: {
    section: 'checks',
    exclusive: [['http', 'tcp', 'run']],
    nested: [],
    locator: (key) => key,
    render: renderCheck,
  },
  names: checkNames,
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
