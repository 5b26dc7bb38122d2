/** The actual and the declared mounts of a container, as sorted texts. Pure. */
import type { ServiceSpec } from '../../compose/stack/model.ts';
import type { ContainerInfo } from '../../system/docker/docker.ts';

/** Every mount except anonymous volumes: `source:target:rw`. Image mounts have the requested form: they are never writable. */
export function mountsOf(info: ContainerInfo): string[] {
  const anonymous = (m: ContainerInfo['Mounts'][number]) => m.Type === 'volume' && /^[0-9a-f]{64}$/.test(m.Name ?? '');
  const { VolumesFrom, Binds, Mounts } = info.HostConfig;
  const own = new Set([...(Binds ?? []).map((b) => b.split(':')[1]), ...(Mounts ?? []).map((m) => m.Target)]);
  // Mounts from other containers belong to those.
  const isOwn = (m: ContainerInfo['Mounts'][number]) => !VolumesFrom?.length || own.has(m.Destination);
  const isNamed = (m: ContainerInfo['Mounts'][number]) => !['tmpfs', 'image'].includes(m.Type) && !anonymous(m);
  const images = (Mounts ?? []).filter((m) => m.Type === ('image' as string));
  return [
    ...info.Mounts.filter((m) => isNamed(m) && isOwn(m)).map(
      (m) => `${m.Type === 'bind' ? m.Source : m.Name}:${m.Destination}:${m.RW ? 'rw' : 'ro'}`,
    ),
    ...images.map((m) => `${m.Source}:${m.Target}:ro`),
  ].sort();
}

export const mountsAsked = (spec: ServiceSpec): string[] =>
  spec.mounts
    .filter((m) => m.source !== '')
    .map((m) => `${m.source}:${m.target}:${m.readOnly || m.type === 'image' ? 'ro' : 'rw'}`)
    .sort();
