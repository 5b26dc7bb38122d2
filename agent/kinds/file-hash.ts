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
  trusted: boolean;
}

/** @returns hex SHA-256 of the file that `stat` was just taken of */
export function createFileHashes({ files, clock }: { files: Files; clock: Clock }) {
  const known = new Map<string, Known>();
  return (path: string, stat: FileStat): string => {
    const now = clock.now().getTime();
    const last = known.get(path);
    const age = last ? now - last.hashedMs : 0;
    if (last?.trusted && last.identity === stat.identity && age >= 0 && age < FULL_MS) return last.sha256;
    const sha256 = files.hash(path);
    known.set(path, { identity: stat.identity, sha256, hashedMs: now, trusted: stat.changedMs < now - RACY_MS });
    return sha256;
  };
}
