/** Images that a service mounts (`type: image`), and the ids that a container was created with. */
import type { MountSpec, ServiceSpec } from '../../compose/stack/model.ts';
import type { Docker } from '../../system/docker/docker.ts';
import { IMAGE_VOLUMES } from './labels.ts';

export const imageMounts = ({ mounts }: ServiceSpec): MountSpec[] => mounts.filter(({ type }) => type === 'image');

/** Value of the label for a new container; '' if it mounts no image. */
export async function mountedIds(docker: Docker, spec: ServiceSpec): Promise<string> {
  const ids = await Promise.all(
    imageMounts(spec).map(async ({ source, target }) => `${target}=${(await docker.image(source))?.id ?? ''}`),
  );
  return ids.sort().join(',');
}

/** Target → id, from that label; a target may contain `=`, an id never does. */
export function idsMounted(labels: Readonly<Record<string, string>>): ReadonlyMap<string, string> {
  const pairs = (labels[IMAGE_VOLUMES] ?? '').split(/,(?=[^,]*=)/).filter((pair) => pair !== '');
  return new Map(
    pairs.map((pair) => [pair.slice(0, pair.lastIndexOf('=')), pair.slice(pair.lastIndexOf('=') + 1)] as const),
  );
}
