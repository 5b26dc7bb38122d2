/**
 * Containers whose image no longer matches their declaration: its tag was moved, or its platform differs. The same for images
 * that they mount.
 */
import type { ServiceSpec } from '../../compose/stack/model.ts';
import { isPlatform, platformText } from '../../core/names/image-name.ts';
import type { Desired, Reason } from '../../core/types.ts';
import type { ContainerSummary, Docker } from '../../system/docker/docker.ts';
import { idsMounted, imageMounts } from '../docker/image-mounts.ts';
import { isReplica, PROJECT, SERVICE } from '../docker/labels.ts';

/** Id of a container → why it must be recreated. */
export type Moves = ReadonlyMap<string, readonly Reason[]>;

/**
 * Costs nothing if no tag was moved and no platform is declared: Docker lists a container with the id of its image, instead
 * of the name, as soon as that name refers to another image (or to none).
 */
export async function movedImages(
  docker: Docker,
  all: readonly ContainerSummary[],
  wants: readonly Desired<ServiceSpec>[],
): Promise<Moves> {
  const specs = new Map(wants.map(({ spec }) => [`${spec.project}/${spec.service}`, spec]));
  const moves = new Map<string, readonly Reason[]>();
  const look = async (c: ContainerSummary, spec: ServiceSpec, moved: boolean) => {
    const why = [
      ...(moved || spec.platform !== '' ? await reasons(docker, spec, c.ImageID, moved) : []),
      ...(await ofMounts(docker, spec, c)),
    ];
    if (why.length > 0) moves.set(c.Id, why);
  };
  const looks: Promise<void>[] = [];
  for (const c of all) {
    const spec = specs.get(`${c.Labels[PROJECT]}/${c.Labels[SERVICE]}`);
    if (spec === undefined || !isReplica(c.Labels)) continue;
    const moved = isId(c.Image) && c.Image !== spec.image;
    if (moved || spec.platform !== '' || imageMounts(spec).length > 0) looks.push(look(c, spec, moved));
  }
  await Promise.all(looks);
  return moves;
}

/** A container without recorded ids is left as it is. */
async function ofMounts(docker: Docker, spec: ServiceSpec, { Labels }: ContainerSummary): Promise<Reason[]> {
  const ids = idsMounted(Labels);
  const why: Reason[] = [];
  for (const { source, target } of imageMounts(spec)) {
    const id = ids.get(target);
    const now = id === undefined ? undefined : await docker.image(source);
    if (id === undefined || now === undefined || now.id === id) continue;
    if ((await docker.image(id))?.content === now.content) continue;
    why.push({ field: 'volumes', from: `${source} (${short(id)})`, to: `${source} (${short(now.id)})` });
  }
  return why;
}

async function reasons(docker: Docker, spec: ServiceSpec, id: string, moved: boolean): Promise<Reason[]> {
  const has = await docker.image(id);
  const now = moved ? await docker.image(spec.image) : undefined;
  const why: Reason[] = [];
  // On some engines, an index that was rebuilt around the same image has another id; that is no reason.
  if (now && now.content !== has?.content)
    why.push({ field: 'image', from: `${spec.image} (${short(id)})`, to: `${spec.image} (${short(now.id)})` });
  if (has && !isPlatform(spec.platform, has.platform))
    why.push({ field: 'platform', from: platformText(has.platform), to: spec.platform });
  return why;
}

const isId = (image: string): boolean => /^(sha256:)?[0-9a-f]{12,64}$/.test(image);
const short = (id: string): string => id.replace(/^sha256:/, '').slice(0, 12);
