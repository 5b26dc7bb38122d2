/** Jobs, as core and engine know them. Pure. */
import type { JobEntry } from '../../../manifests-schema/kinds/job.ts';
import type { KindDefinition } from '../../core/kind.ts';
import { jobNames, jobProvides } from './names.ts';
import { renderJob } from './render.ts';
import type { JobSpec } from './spec.ts';

export const job: KindDefinition<JobSpec, JobEntry> = {
  name: 'job',
  declared: { section: 'jobs', exclusive: [], nested: [], locator: (key) => key, render: renderJob },
  provides: jobProvides,
  names: jobNames,
  // The resources that it comes after are its inputs.
  edges({ id, spec, after }, all) {
    if (spec.when === 'change') for (const input of after) all.add(input, 'notify', id);
  },
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
