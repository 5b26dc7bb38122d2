/** Networks and volumes of stacks, as core and engine know them. Pure. */
import type { KindDefinition, Traits } from '../../core/kind.ts';

const traits: Traits = {
  observing: 'free',
  drifts: true,
  confirm: 'durable',
  harmlessWhenNew: false,
  survivesDecommission: false,
  judgesEveryRun: false,
  mayRepeat: false,
  onRollback: () => 'run',
};

export const network: KindDefinition = { name: 'network', declared: null, traits };
export const volume: KindDefinition = {
  name: 'volume',
  declared: null,
  traits: { ...traits, survivesDecommission: true },
};
