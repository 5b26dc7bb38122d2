/**
 * Removes old images: those that fairlead pulled, that no container uses and nobody else tagged, and that no rollback may need.
 */
import { listedName } from '../../core/names/image-name.ts';
import { AgentError } from '../../errors.ts';
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

/**
 * An image that cannot be removed stays, and is tried again the next time.
 * @throws the first error, after all other images; at once if the engine cannot be reached
 */
export async function removeOldImages({ docker, records, kept, signal }: TidyOptions): Promise<void> {
  const pulled = Map.groupBy(records.pulled(), (p) => p.id);
  if (pulled.size === 0) return;
  const errors: unknown[] = [];
  const attempt = (act: () => Promise<unknown>) =>
    act().catch((thrown: unknown) => {
      if (thrown instanceof AgentError && thrown.code === 'EngineUnreachable') throw thrown;
      errors.push(thrown);
    });
  const current = new Set<string | undefined>();
  const unknown = new Set(kept);
  for (const name of kept)
    await attempt(async () => {
      current.add((await docker.image(name))?.id);
      unknown.delete(name);
    });
  const unread = new Set([...unknown].map(listedName));
  const used = new Set((await docker.containers()).flatMap((c) => [c.ImageID, ...idsMounted(c.Labels).values()]));
  for (const [id, rows] of pulled) {
    if (signal.aborted) return;
    const names = new Set(rows.map((row) => listedName(row.name)));
    // A kept image that cannot be inspected may be this one.
    if (used.has(id) || current.has(id) || [...names].some((name) => unread.has(name))) continue;
    await attempt(async () => {
      if (await removeImage(docker, id, names)) records.forget(id);
    });
  }
  if (errors.length > 0) throw errors[0];
}

/** @returns whether it is gone; one that has names besides `ours` stays */
async function removeImage(docker: Docker, id: string, ours: ReadonlySet<string>): Promise<boolean> {
  const here = await docker.image(id);
  if (here?.tags.some((tag) => !ours.has(tag))) return false;
  // Removes the names first: if somebody tags the image meanwhile, only our names are removed.
  for (const tag of here?.tags ?? []) await docker.removeImage(tag);
  const left = here && (await docker.image(id));
  return left === undefined || (left.tags.length === 0 && (await docker.removeImage(id)));
}
