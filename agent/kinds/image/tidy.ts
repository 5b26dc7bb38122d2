/**
 * Removes old images: those that fairlead pulled, that no container uses and nobody else tagged, and that no rollback may need.
 */
import { listedName } from '../../core/names/image-name.ts';
import type { ImageRecords } from '../../store/inventory/images.ts';
import type { Docker } from '../../system/docker/docker.ts';
import { idsMounted } from '../docker/image-mounts.ts';

export interface TidyOptions {
  docker: Docker;
  records: ImageRecords;
  /** Names of images that may be needed again. */
  kept: ReadonlySet<string>;
  signal: AbortSignal;
}

/** An image that cannot be removed stays, and is tried again the next time. */
export async function removeOldImages({ docker, records, kept, signal }: TidyOptions): Promise<void> {
  const pulled = Map.groupBy(records.pulled(), (p) => p.id);
  if (pulled.size === 0) return;
  const current = new Set<string | undefined>();
  for (const name of kept) current.add((await docker.image(name))?.id);
  const used = new Set((await docker.containers()).flatMap((c) => [c.ImageID, ...idsMounted(c.Labels).values()]));
  for (const [id, rows] of pulled) {
    if (signal.aborted) return;
    if (used.has(id) || current.has(id)) continue;
    const here = await docker.image(id);
    const ours = new Set(rows.map((row) => listedName(row.name)));
    if (here?.tags.some((tag) => !ours.has(tag))) continue;
    // Removes the names first: if somebody tags the image meanwhile, only our names are removed.
    for (const tag of here?.tags ?? []) await docker.removeImage(tag);
    const left = here && (await docker.image(id));
    if (left === undefined || (left.tags.length === 0 && (await docker.removeImage(id)))) records.forget(id);
  }
}
