/** Files, directories and links, as core and engine know them. Pure. */
import type { KindDefinition } from '../../core/kind.ts';
import type { FileSpec } from '../../core/specs.ts';

export const file: KindDefinition<FileSpec> = {
  name: 'file',
  section: 'files',
  rank: 1,
  traits: {
    observing: 'free',
    drifts: true,
    confirm: 're-observable',
    harmlessWhenNew: true,
    survivesDecommission: false,
    judgesEveryRun: false,
    mayRepeat: true,
    onRollback: () => 'run',
  },
};
