/** Which volumes contain data, and which containers use them. */
import type { VolumeSpec } from '../../compose/stack/model.ts';
import type { Work } from '../../core/provider.ts';
import type { ResourceId } from '../../core/types.ts';
import { AgentError } from '../../errors.ts';
import type { ContainerSummary, Docker } from '../../system/docker/types.ts';
import { isReplica, PROJECT, SERVICE } from './labels.ts';

export interface VolumeFact {
  name: string;
  driver: string;
  driverOptions: Record<string, string>;
}

export type VolumeWork = Work<VolumeSpec, VolumeFact>;
type Made = Pick<VolumeFact, 'driver' | 'driverOptions'>;

/** File systems whose data is elsewhere, or nowhere: mount(8). */
const ELSEWHERE = /^(nfs4?|cifs|smb3|smbfs)$/;
const MEMORY = /^(tmpfs|ramfs)$/;
const ANONYMOUS = /^[0-9a-f]{64}$/;

/** Whether its content disappears when nobody uses it. */
export const isMemory = ({ driver, driverOptions }: Made): boolean =>
  driver === 'local' && MEMORY.test(driverOptions.type ?? '');

/** Whether Docker stores no data for it: the data is on another host, in memory, or in a bound directory. */
export const holdsNothing = (made: Made): boolean =>
  made.driver === 'local' &&
  (isMemory(made) ||
    ELSEWHERE.test(made.driverOptions.type ?? '') ||
    (made.driverOptions.o ?? '').split(',').some((option) => option === 'bind' || option === 'rbind'));

/** Containers that refer to it, running or not. */
export const usersOf = async (docker: Docker, name: string): Promise<ContainerSummary[]> =>
  (await docker.containers()).filter((c) => c.Mounts.some((m) => m.Type === 'volume' && m.Name === name));

/**
 * Refuses to recreate a volume that a foreign container uses, or a container that would lose data in anonymous volumes if it
 * were removed.
 * @returns failures by id
 */
export async function refuseVolumesInUse(
  { docker, owned }: { docker: Docker; owned(id: ResourceId): boolean },
  work: readonly VolumeWork[],
): Promise<Map<ResourceId, AgentError>> {
  const failures = new Map<ResourceId, AgentError>();
  for (const { want, seen } of work) {
    const { id, spec } = want;
    const volume = seen?.fact.name ?? spec.name;
    const isOurs = ({ Labels }: ContainerSummary) =>
      isReplica(Labels) &&
      Labels[SERVICE] !== undefined &&
      (Labels[PROJECT] === spec.project || owned(`service:${Labels[PROJECT]}/${Labels[SERVICE]}`));
    const users = await usersOf(docker, volume);
    const strangers = users.filter((user) => !isOurs(user));
    const keeping = users.find(({ Mounts }) => Mounts.some((m) => m.Type === 'volume' && ANONYMOUS.test(m.Name ?? '')));
    const names = (all: readonly ContainerSummary[]) =>
      all.map((c) => (c.Names[0] ?? c.Id).replace(/^\//, '')).join(', ');
    const message =
      strangers.length > 0
        ? `volume ${volume} must be recreated, and is used by ${names(strangers)}, which fairlead did not create; remove what uses it, and it is done then`
        : keeping
          ? `volume ${volume} must be recreated, and ${names([keeping])}, which uses it, keeps data in volumes without a name that would be left behind; name them in \`volumes\` first`
          : null;
    if (message !== null)
      failures.set(id, new AgentError({ code: 'VolumeInUse', phase: 'prepare', resource: id, message }));
  }
  return failures;
}
