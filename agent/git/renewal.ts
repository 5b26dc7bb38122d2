/** Replaces a store that cannot be read. The damaged store is kept for inspection: only one of them, and none that is large. */
import { readdir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';

/** A larger store is not kept. */
const MAX_ASIDE = 64 * 1024 * 1024;
const MAX_FILES = 5_000;

/** Directory in which a new store is filled while the old one is still in place. */
export const newBeside = (gitdir: string): string => `${gitdir}.new`;

/**
 * Puts the new store in the place of the old one.
 * @returns the new path of the old store; null if it was too large to be kept, or missing
 */
export async function replaceStore(gitdir: string): Promise<string | null> {
  const aside = `${gitdir}.aside`;
  // Earlier versions named it `.old`, and a crash may have left it.
  for (const former of [aside, `${gitdir}.old`]) await rm(former, { recursive: true, force: true });
  const isKept = (await bytesBelow(gitdir)) <= MAX_ASIDE;
  const was = await rename(gitdir, aside).then(
    () => true,
    (thrown: NodeJS.ErrnoException) => {
      if (thrown.code !== 'ENOENT') throw thrown;
      return false;
    },
  );
  await rename(newBeside(gitdir), gitdir);
  if (!isKept) await rm(aside, { recursive: true, force: true });
  return was && isKept ? aside : null;
}

/** Total size of all files; more than the limit if there are too many to look at. */
async function bytesBelow(dir: string): Promise<number> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true }).catch(() => []);
  if (entries.length > MAX_FILES) return MAX_ASIDE + 1;
  let bytes = 0;
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    const found = await stat(path.join(entry.parentPath, entry.name)).catch(() => null);
    bytes += found?.size ?? 0;
  }
  return bytes;
}
