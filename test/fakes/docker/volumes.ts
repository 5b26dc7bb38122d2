/** Volumes of a Docker engine in memory. */
import type { Docker, VolumeInfo, VolumeRequest } from '../../../agent/system/docker/docker.ts';
import { conflict, refusal } from './refusals.ts';
import type { State } from './state.ts';

/** If the name exists, that volume is returned unchanged. */
export function makeVolume(state: State, request: VolumeRequest): VolumeInfo {
  const { Name = state.newId(), Driver = 'local', DriverOpts, Labels = {} } = request;
  const there = state.volumes.get(Name);
  if (there && request.Driver !== undefined && there.Driver !== Driver)
    throw conflict(
      `A volume named ${Name} already exists with the ${there.Driver} driver. Choose a different volume name.`,
    );
  if (there) return there;
  const Mountpoint = `/var/lib/docker/volumes/${Name}/_data`;
  const volume = { Name, Driver, Labels, Mountpoint, Options: DriverOpts ?? null };
  state.volumes.set(Name, volume);
  state.tell({ Type: 'volume', Action: 'create', Actor: { ID: Name, Attributes: { driver: Driver } } });
  return volume;
}

export function dropVolume(state: State, name: string): void {
  const volume = state.volumes.get(name);
  if (volume === undefined) throw refusal(404, 'no such volume', `get ${name}: no such volume`);
  const users = usersOf(state, name);
  if (users.length > 0) throw conflict(`remove ${name}: volume is in use - [${users.join(', ')}]`);
  state.volumes.delete(name);
  state.tell({ Type: 'volume', Action: 'destroy', Actor: { ID: name, Attributes: { driver: volume.Driver } } });
}

/** Ids of the containers that use it, running or not. */
export const usersOf = (state: State, name: string): string[] =>
  [...state.containers.values()].filter((c) => c.mounts.some((m) => m.Name === name && !m.isBorrowed)).map((c) => c.id);

export function volumeCalls(state: State): Pick<Docker, 'volumes' | 'createVolume' | 'removeVolume'> {
  return {
    volumes: async () => structuredClone([...state.volumes.values()]),
    createVolume: async (request) => void makeVolume(state, request),
    removeVolume: async (name) => dropVolume(state, name),
  };
}
