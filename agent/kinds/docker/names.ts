/** The names that networks and volumes provide on their host, and the names that they use. Pure. */
import type { NetworkSpec, VolumeSpec } from '../../compose/stack/model.ts';
import type { Named } from '../../core/kind.ts';
import { volumePaths } from '../../core/names/volume-paths.ts';

/** An external network is created by somebody else, maybe by another stack of this host. */
export const networkProvides = ({ name, external }: NetworkSpec): string[] => (external ? [] : [`network:${name}`]);
export const networkNames = ({ name, external }: NetworkSpec): Named[] =>
  external ? [{ name: `network:${name}` }] : [];

export const volumeProvides = ({ name, external }: VolumeSpec): string[] => (external ? [] : [`volume:${name}`]);
export function volumeNames({ name, external, driverOptions }: VolumeSpec): Named[] {
  if (external) return [{ name: `volume:${name}` }];
  const { device = '' } = driverOptions;
  const paths = [...(device.startsWith('/') ? [device] : []), ...volumePaths(driverOptions).map(({ path }) => path)];
  return [...new Set(paths)].map((path) => ({ name: `path:${path}` }));
}
