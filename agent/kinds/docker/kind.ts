/** Networks and volumes of stacks, as core and engine know them. Pure. */
import type { NetworkSpec, VolumeSpec } from '../../compose/stack/model.ts';
import type { KindDefinition, Traits } from '../../core/kind.ts';
import { networkNames, networkProvides, volumeNames, volumeProvides } from './names.ts';

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

export const network: KindDefinition<NetworkSpec> = {
  name: 'network',
  declared: null,
  provides: networkProvides,
  names: networkNames,
  traits,
};
export const volume: KindDefinition<VolumeSpec> = {
  name: 'volume',
  declared: null,
  provides: volumeProvides,
  names: volumeNames,
  traits: { ...traits, survivesDecommission: true },
};
