/** The mounts of a container: binds, volumes, volumes of its image, and those of other containers. */
import type { ContainerRequest, ImageConfig } from '../../../agent/system/docker/docker.ts';
import { refusal } from './refusals.ts';
import { containerOf, type Mount, type State } from './state.ts';
import { makeVolume } from './volumes.ts';

interface Asked {
  Type?: string;
  Source?: string;
  Target?: string;
  ReadOnly?: boolean;
}

export function mountsFor(state: State, request: ContainerRequest, image: ImageConfig): Mount[] {
  const found = new Map<string, Mount>();
  const add = (mount: Mount) => found.set(mount.Destination, mount);
  for (const from of (request.HostConfig?.VolumesFrom ?? []) as string[])
    for (const mount of containerOf(state, from.split(':')[0] ?? '').mounts) add({ ...mount, isBorrowed: true });
  for (const bind of request.HostConfig?.Binds ?? []) {
    const [source = '', target = '', options = ''] = bind.split(':');
    const readOnly = options.split(',').includes('ro');
    add(source.startsWith('/') ? bindMount(source, target, readOnly) : volumeMount(state, source, target, readOnly));
  }
  for (const { Type, Source = '', Target = '', ReadOnly = false } of (request.HostConfig?.Mounts ?? []) as Asked[]) {
    if (Type === 'bind') add(bindMount(Source, Target, ReadOnly));
    else if (Type === 'volume') add(volumeMount(state, Source, Target, ReadOnly));
    else if (Type === 'image') add({ ...bindMount(Source, Target, true), Type: 'image', Name: Source });
  }
  const kept = { ...image.Volumes, ...request.Volumes };
  for (const target of Object.keys(kept)) if (!found.has(target)) add(volumeMount(state, '', target, false));
  return [...found.values()];
}

const bindMount = (Source: string, Destination: string, readOnly: boolean): Mount => ({
  Type: 'bind',
  Source,
  Destination,
  Mode: '',
  RW: !readOnly,
  Propagation: 'rprivate',
  isNamed: true,
  isBorrowed: false,
});

/** @param name '' for an anonymous volume; a missing one is created */
function volumeMount(state: State, name: string, Destination: string, readOnly: boolean): Mount {
  const isNamed = name !== '';
  const volume = makeVolume(state, { Name: isNamed ? name : state.newId() });
  if (volume === undefined) throw refusal(500, 'server error', `volume ${name} cannot be made`);
  return {
    Type: 'volume',
    Name: volume.Name,
    Source: `/var/lib/docker/volumes/${volume.Name}/_data`,
    Destination,
    Driver: volume.Driver,
    Mode: 'z',
    RW: !readOnly,
    Propagation: '',
    isNamed,
    isBorrowed: false,
  };
}
