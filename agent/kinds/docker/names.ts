/** What networks and volumes are known by on their host, and what of it they name. Pure. */
import type { NetworkSpec, VolumeSpec } from '../../compose/stack/model.ts';
import type { Named } from '../../core/kind.ts';
import { volumePaths } from '../../core/volume-paths.ts';

/** What is external is made by somebody else, maybe by another stack of this host. */
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
