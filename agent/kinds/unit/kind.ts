/** systemd units, as core and engine know them. Pure. */
import type { UnitEntry } from '../../../manifests-schema/kinds/unit.ts';
import type { KindDefinition } from '../../core/kind.ts';
import { unitEdges } from './edges.ts';
import { unitNames, unitProvides } from './names.ts';
import { renderUnit } from './render.ts';
import { secretLine } from './secret-line.ts';
import type { UnitSpec } from './spec.ts';

export const unit: KindDefinition<UnitSpec, UnitEntry> = {
  name: 'unit',
  declared: {
    section: 'units',
    exclusive: [['content', 'source']],
    nested: ['dropins'],
    locator: (key) => key,
    render: renderUnit,
    withSecret: (spec) => ({ ...spec, secret: true }),
    secretLine,
  },
  paths: ({ name, content, dropins }) => [
    ...(content === undefined ? [] : [`/etc/systemd/system/${name}`]),
    ...Object.keys(dropins ?? {}).map((file) => `/etc/systemd/system/${name}.d/${file}`),
  ],
  edges: unitEdges,
  provides: unitProvides,
  names: unitNames,
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
