/** Hashes of files, cached by their stat data, like git's index. */
import type { Clock } from '../../../system/clock.ts';
import type { FileStat, Files } from '../../../system/files/files.ts';
import { changedMsOf } from '../../../system/files/io.ts';

/**
 * A change within the same clock tick of the file system as the last observation can leave every field of stat unchanged
 * ("racily clean"). A hash is therefore trusted only if the last change is well before the observation; 2 s is the coarsest
 * tick in use (vfat).
 */
const RACY_MS = 2_000;
/** Interval at which everything is read again, whatever stat says: a disk may rot, a clock may be set back. */
const FULL_MS = 60 * 60 * 1_000;

interface Known {
  stat: FileStat;
  hashedMs: number;
}

export interface FileHashes {
  /**
   * @param wanted the files whose hash is needed
   * @param trustOwn skip reading a file that this process wrote last, if inode, time and size are the same
   * @returns stats like `Files.statAll`, with the hash of each `wanted` file, which is read only if it may have changed; if
   * nothing changed and the hash is trusted, the same object as in the previous call
   */
  look(
    paths: readonly string[],
    wanted: (path: string, stat: FileStat) => boolean,
    trustOwn?: boolean,
  ): Map<string, FileStat | Error>;
  /** Records a file that this process wrote, for the next call. @param stat with the hash of the written content */
  wrote(path: string, stat: FileStat): void;
}

export function createFileHashes({ files, clock }: { files: Files; clock: Pick<Clock, 'now'> }): FileHashes {
  const known = new Map<string, Known>();
  /** Valid until the next call only: a change in the same clock tick of the file system would never be seen. */
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

/** The content was not changed, unless somebody set the time back; a rename only changes ctime. */
const isSame = (a: FileStat, b: FileStat): boolean =>
  a.dev === b.dev && a.ino === b.ino && a.size === b.size && a.mtimeMs === b.mtimeMs;
