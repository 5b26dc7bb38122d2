/** Services that are removed and services that start, and use the same data: they must never run at the same time. Pure. */
import type { MountSpec, ServiceSpec } from '../../../compose/stack/model.ts';
import { repositoryName } from '../../../core/names/image-name.ts';
import type { Gone, Work } from '../../../core/provider.ts';
import type { ResourceId } from '../../../core/types.ts';
import type { ContainerInfo } from '../../../system/docker/docker.ts';
import type { ServiceFact } from '../../container/fact.ts';

/** Paths that many services share on purpose: sockets, devices, settings of the host. */
const OF_THE_HOST = /^\/(run|var\/run|dev|proc|sys|etc)(\/|$)/;

/**
 * Work that must wait until this service is removed: two databases on one directory destroy it, and neither can detect the
 * other from its own container. A volume that both write is enough; for a directory of the host, the image must be the same.
 */
export function yieldsTo({ seen }: Gone<ServiceFact>, work: readonly Work<ServiceSpec, ServiceFact>[]): ResourceId[] {
  const { replicas, parked } = seen.fact;
  const running = [...replicas, ...parked].map(({ info }) => info);
  const isShared = (spec: ServiceSpec) =>
    running.some((info) => {
      const isAlike = repositoryName(info.Config.Image) === repositoryName(spec.image);
      return spec.mounts.some((mount) => info.Mounts.some((old) => isSameData(mount, old, isAlike)));
    });
  const begun = work.filter(({ change }) => change.op === 'create' || change.op === 'replace');
  return begun.filter(({ want: { spec } }) => spec.replicas > 0 && isShared(spec)).map(({ want }) => want.id);
}

function isSameData(mount: MountSpec, old: ContainerInfo['Mounts'][number], isAlike: boolean): boolean {
  if (mount.readOnly || !old.RW || mount.source === '') return false;
  if (mount.type === 'volume') return old.Type === 'volume' && old.Name === mount.source;
  return (
    mount.type === 'bind' &&
    isAlike &&
    old.Type === 'bind' &&
    old.Source === mount.source &&
    !OF_THE_HOST.test(mount.source)
  );
}
