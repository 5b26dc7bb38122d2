/** Services that go and services that come, and have the same data in hand: never both at once. Pure. */
import type { MountSpec, ServiceSpec } from '../../compose/stack/model.ts';
import { repositoryName } from '../../core/image-name.ts';
import type { Gone, Work } from '../../core/provider.ts';
import type { ResourceId } from '../../core/types.ts';
import type { ContainerInfo } from '../../system/docker/docker.ts';
import type { ServiceFact } from '../container/fact.ts';

/** What many share by habit: sockets, devices, settings of the host. */
const OF_THE_HOST = /^\/(run|var\/run|dev|proc|sys|etc)(\/|$)/;

/**
 * The work that begins only when this service is gone: two databases on one directory destroy it, and neither notices the other
 * from its own container. A volume that both write is enough; a directory of the host, where the image is the same.
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
