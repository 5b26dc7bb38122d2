/** Hashes of files, remembered by what stat says of them, as git's index does. */
import type { Clock } from '../system/clock.ts';
import { changedMsOf } from '../system/file-io.ts';
import type { FileStat, Files } from '../system/files.ts';

/**
 * A change within the file system's clock tick of the last look can leave every field of stat as it was ("racily clean").
 * So a hash is trusted only if the last change is well before the look; 2 s is the coarsest tick in use (vfat).
 */
const RACY_MS = 2_000;
/** Everything is read again so often, whatever stat says: a disk may rot, a clock may be set back. */
const FULL_MS = 60 * 60 * 1_000;

interface Known {
  stat: FileStat;
  hashedMs: number;
}

/**
 * @returns stats as `Files.statAll` does, with the hash of each file that `wanted` names, read only where it may have
 *   changed; where nothing changed, and a hash is trusted, the very object of the call before
 */
export function createFileHashes({ files, clock }: { files: Files; clock: Pick<Clock, 'now'> }) {
  const known = new Map<string, Known>();
  return (
    paths: readonly string[],
    wanted: (path: string, stat: FileStat) => boolean,
  ): Map<string, FileStat | Error> => {
    const now = clock.now().getTime();
    const isFresh = (path: string, stat: FileStat): boolean => {
      const last = known.get(path);
      const age = last?.stat === stat ? now - last.hashedMs : -1;
      return age >= 0 && age < FULL_MS;
    };
    const stats = files.statAll(
      paths,
      (path, stat) => !isFresh(path, stat) && wanted(path, stat),
      (path) => known.get(path)?.stat,
    );
    for (const path of paths) {
      const stat = stats.get(path);
      if (stat !== undefined && stat === known.get(path)?.stat) continue;
      const isTrusted =
        stat && !(stat instanceof Error) && stat.sha256 !== undefined && changedMsOf(stat) < now - RACY_MS;
      if (isTrusted) known.set(path, { stat, hashedMs: now });
      else known.delete(path);
    }
    return stats;
  };
}
