/** Old images go: those that fairlead itself brought, that nothing runs on or calls by a name of its own, and that nobody may come back to. */
import { listedName } from '../../core/image-name.ts';
import type { ImageRecords } from '../../store/images.ts';
import type { Docker } from '../../system/docker/docker.ts';
import { idsMounted } from '../docker/image-mounts.ts';

export interface TidyOptions {
  docker: Docker;
  records: ImageRecords;
  /** Names of images that may be needed again. */
  kept: ReadonlySet<string>;
  signal: AbortSignal;
}

/** Whatever does not let itself be removed stays, and is tried again the next time. */
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
    // By its names first: should somebody give it one of theirs meanwhile, only ours is taken away.
    for (const tag of here?.tags ?? []) await docker.removeImage(tag);
    const left = here && (await docker.image(id));
    if (left === undefined || (left.tags.length === 0 && (await docker.removeImage(id)))) records.forget(id);
  }
}
