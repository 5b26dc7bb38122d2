/** Hashes of files, remembered by what stat says of them, as git's index does. */
import type { Clock } from '../../system/clock.ts';
import type { FileStat, Files } from '../../system/files/files.ts';
import { changedMsOf } from '../../system/files/io.ts';

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

export interface FileHashes {
  /**
   * @param wanted the files whose hash is asked for
   * @param trustOwn what this process wrote last, and is the same file of the same time and size, need not be read
   * @returns stats as `Files.statAll` does, with the hash of each file that is `wanted`, read only where it may have
   *   changed; where nothing changed, and a hash is trusted, the very object of the call before
   */
  look(
    paths: readonly string[],
    wanted: (path: string, stat: FileStat) => boolean,
    trustOwn?: boolean,
  ): Map<string, FileStat | Error>;
  /** Of a file that was written by this process, for the next look. @param stat with the hash of what was written */
  wrote(path: string, stat: FileStat): void;
}

export function createFileHashes({ files, clock }: { files: Files; clock: Pick<Clock, 'now'> }): FileHashes {
  const known = new Map<string, Known>();
  /** Known until the next look: a change in the same tick of the file system's clock would not be seen for ever. */
  const written = new Map<string, FileStat>();
  return {
    look(paths, wanted, trustOwn = false) {
      const now = clock.now().getTime();
      const isFresh = (path: string, stat: FileStat): boolean => {
        const last = known.get(path);
        const age = last?.stat === stat ? now - last.hashedMs : -1;
        return age >= 0 && age < FULL_MS;
      };
      const own = new Map<string, FileStat>();
      const isOwn = (path: string, stat: FileStat): boolean => {
        const last = trustOwn ? written.get(path) : undefined;
        if (last === undefined || !isSame(last, stat)) return false;
        own.set(path, { ...stat, ...(last.sha256 ? { sha256: last.sha256 } : {}) });
        return true;
      };
      const stats = files.statAll(
        paths,
        (path, stat) => !isFresh(path, stat) && wanted(path, stat) && !isOwn(path, stat),
        (path) => known.get(path)?.stat,
      );
      for (const [path, stat] of own) stats.set(path, stat);
      for (const path of paths) {
        written.delete(path);
        const stat = stats.get(path);
        if (stat !== undefined && stat === known.get(path)?.stat) continue;
        const isRead = stat && !(stat instanceof Error) && stat.sha256 !== undefined && !own.has(path);
        const isTrusted = isRead && changedMsOf(stat) < now - RACY_MS;
        if (isTrusted) known.set(path, { stat, hashedMs: now });
        else known.delete(path);
      }
      return stats;
    },
    wrote: (path, stat) => void written.set(path, stat),
  };
}

/** Its content was not touched since, unless somebody set the time back; a rename moves the time of change alone. */
const isSame = (a: FileStat, b: FileStat): boolean =>
  a.dev === b.dev && a.ino === b.ino && a.size === b.size && a.mtimeMs === b.mtimeMs;
