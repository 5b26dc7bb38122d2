/** Hashes of files, remembered by what stat says of them, as git's index does. */
import type { Clock } from '../system/clock.ts';
import type { FileStat, Files } from '../system/files.ts';

/**
 * A change within the file system's clock tick of the last look can leave every field of stat as it was ("racily clean").
 * So a hash is trusted only if the last change is well before the look; 2 s is the coarsest tick in use (vfat).
 */
const RACY_MS = 2_000;
/** Everything is read again so often, whatever stat says: a disk may rot, a clock may be set back. */
const FULL_MS = 60 * 60 * 1_000;

interface Known {
  identity: string;
  sha256: string;
  hashedMs: number;
}

/** @returns stats as `Files.statAll` does, with the hash of each file that `wanted` names, read only where it may have changed */
export function createFileHashes({ files, clock }: { files: Files; clock: Clock }) {
  const known = new Map<string, Known>();
  return (
    paths: readonly string[],
    wanted: (path: string, stat: FileStat) => boolean,
  ): Map<string, FileStat | Error> => {
    const now = clock.now().getTime();
    const fresh = (path: string, { identity }: FileStat): Known | undefined => {
      const last = known.get(path);
      const age = last ? now - last.hashedMs : -1;
      return last?.identity === identity && age >= 0 && age < FULL_MS ? last : undefined;
    };
    const stats = files.statAll(paths, (path, stat) => wanted(path, stat) && fresh(path, stat) === undefined);
    for (const path of paths) {
      const stat = stats.get(path);
      if (stat === undefined || stat instanceof Error) known.delete(path);
      else if (stat.sha256 === undefined) {
        const last = fresh(path, stat);
        if (last) stat.sha256 = last.sha256;
      } else if (stat.changedMs < now - RACY_MS)
        known.set(path, { identity: stat.identity, sha256: stat.sha256, hashedMs: now });
      else known.delete(path);
    }
    return stats;
  };
}
