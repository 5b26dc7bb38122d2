/** A store that cannot be read makes room for a new one. What it was stays for a look: one of them, and no large one. */
import { readdir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';

/** What is larger is not kept. */
const MAX_ASIDE = 64 * 1024 * 1024;
const MAX_FILES = 5_000;

/** Where a new store is filled, while the old one is still in its place. */
export const newBeside = (gitdir: string): string => `${gitdir}.new`;

/**
 * Puts the new store in the place of the old one.
 * @returns where the old one lies now; null where it was too large to be kept, or was not there
 */
export async function replaceStore(gitdir: string): Promise<string | null> {
  const aside = `${gitdir}.aside`;
  // `.old` is what earlier versions called it, and may have left in a crash.
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

/** Of all files; more than may be kept where there are too many to look at. */
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
