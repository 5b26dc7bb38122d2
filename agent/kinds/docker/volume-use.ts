/** Which volumes hold bytes of their own, and whose containers use them. */
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

/** File systems whose bytes are elsewhere, or nowhere: mount(8). */
const ELSEWHERE = /^(nfs4?|cifs|smb3|smbfs)$/;
const MEMORY = /^(tmpfs|ramfs)$/;
const ANONYMOUS = /^[0-9a-f]{64}$/;

/** What is in it is gone whenever nobody uses it. */
export const isMemory = ({ driver, driverOptions }: Made): boolean =>
  driver === 'local' && MEMORY.test(driverOptions.type ?? '');

/** The engine keeps no bytes for it: they are on another host, in memory, or in a directory that is bound. */
export const holdsNothing = (made: Made): boolean =>
  made.driver === 'local' &&
  (isMemory(made) ||
    ELSEWHERE.test(made.driverOptions.type ?? '') ||
    (made.driverOptions.o ?? '').split(',').some((option) => option === 'bind' || option === 'rbind'));

/** Containers that name it, running or not. */
export const usersOf = async (docker: Docker, name: string): Promise<ContainerSummary[]> =>
  (await docker.containers()).filter((c) => c.Mounts.some((m) => m.Type === 'volume' && m.Name === name));

/**
 * Whose containers would have to go for a volume to be recreated: a stranger's are not touched, and one that keeps data in
 * volumes without a name would lose hold of it.
 * @returns failures by id
 */
export async function refuseWhatIsUsed(
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
