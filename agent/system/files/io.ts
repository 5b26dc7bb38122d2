/** The parts that files.ts is made of: descriptors in, nothing else. */
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { promisify } from 'node:util';
import { unsafe } from '../paths/errors.ts';
import type { OpenDirectory } from '../paths/shared-directories.ts';
import type { FileStat, WriteOptions } from './types.ts';

const { O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_DIRECTORY } = fs.constants;
const fsync = promisify(fs.fsync);
const CHUNK = 256 * 1024;

/** One fsync of a directory covers all renames in it that happened before the fsync began. */
export function createDirectorySync(): (dir: number) => Promise<void> {
  interface Waiter {
    dir: number;
    done: () => void;
    failed: (thrown: unknown) => void;
  }
  const queues = new Map<string, Waiter[]>();
  const pump = async (key: string, queue: Waiter[]) => {
    while (queue.length > 0) {
      const batch = queue.splice(0);
      try {
        await fsync(batch[0]?.dir ?? -1);
        for (const { done } of batch) done();
      } catch (thrown) {
        for (const { failed } of batch) failed(thrown);
      }
    }
    queues.delete(key);
  };
  return (dir) =>
    new Promise((done, failed) => {
      const { dev, ino } = fs.fstatSync(dir);
      const key = `${dev}:${ino}`;
      const queue = queues.get(key);
      if (queue) queue.push({ dir, done, failed });
      else {
        const fresh = [{ dir, done, failed }];
        queues.set(key, fresh);
        void pump(key, fresh);
      }
    });
}

/** Number of directory entries that are searched for leftovers: others may create any number. */
const SWEPT = 20_000;

/**
 * Removes temporary files of a process that was killed between creating and renaming them. Other files with such names stay.
 */
export function sweep({ dir, id }: OpenDirectory, swept: Set<string>): void {
  if (swept.has(id)) return;
  swept.add(id);
  for (const name of namesIn(`/proc/self/fd/${dir}`, SWEPT)) {
    if (!/^\.fairlead-.*\.[0-9a-f]{12}$/.test(name)) continue;
    const at = `/proc/self/fd/${dir}/${name}`;
    const stat = fs.lstatSync(at, { throwIfNoEntry: false });
    if (stat?.isDirectory() === false) fs.rmSync(at, { force: true });
  }
}

/** Reads at most that many names, and none of `keep`: a directory may have any number. */
export function namesIn(at: string, limit: number, keep: ReadonlySet<string> = new Set()): string[] {
  const names: string[] = [];
  const reader = fs.opendirSync(at, { bufferSize: 256 });
  try {
    for (let entry = reader.readSync(); entry !== null && names.length < limit; entry = reader.readSync())
      if (!keep.has(entry.name)) names.push(entry.name);
  } finally {
    reader.closeSync();
  }
  return names;
}

/** Owner and mode of an open file. */
export function setOwnerAndMode(fd: number, { mode, uid, gid }: WriteOptions): void {
  // In this order: a change of owner takes the setuid bit away.
  fs.fchownSync(fd, uid, gid);
  fs.fchmodSync(fd, mode);
}

/** @returns its descriptor */
export function makeDirectory(at: string, options: WriteOptions): number {
  fs.mkdirSync(at, 0o700);
  const fd = fs.openSync(at, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  try {
    setOwnerAndMode(fd, options);
    return fd;
  } catch (thrown) {
    fs.closeSync(fd);
    throw thrown;
  }
}

/** Sets the owner of a directory, or of a file that has a single name and belongs to that user already. */
export function setMeta(at: string, file: string, options: WriteOptions): void {
  const fd = fs.openSync(at, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  try {
    const stat = fs.fstatSync(fd);
    // Another name of the same file may be anybody's, and who made it may still have it open for writing: only a new file can
    // be given to somebody.
    const { uid } = options;
    if (!stat.isDirectory() && (stat.nlink > 1 || (uid !== -1 && stat.uid !== uid)))
      throw unsafe(file, file.split('/').filter(Boolean));
    setOwnerAndMode(fd, options);
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

/** A regular file, or nothing: a fifo would keep us waiting, a link would lead away. */
export function openFile(at: string): number {
  const fd = fs.openSync(at, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (fs.fstatSync(fd).isFile()) return fd;
  fs.closeSync(fd);
  throw new Error('it is not a regular file any more');
}

/** Hex SHA-256 of an open file. */
export function hashOf(fd: number): string {
  const hash = createHash('sha256');
  for (const chunk of chunksOf(fd)) hash.update(chunk);
  return hash.digest('hex');
}

/** The same of a file by its path. */
export function hashAt(at: string): string {
  const fd = openFile(at);
  try {
    return hashOf(fd);
  } finally {
    fs.closeSync(fd);
  }
}

/** Adds the hash of a regular file if it is asked for. A file that is replaced meanwhile gets no hash, so it differs. */
export function withHash(
  at: string,
  file: string,
  stat: FileStat,
  hashIf: ((file: string, stat: FileStat) => boolean) | undefined,
): FileStat {
  if (stat.type !== 'file' || !hashIf?.(file, stat)) return stat;
  let fd: number | null = null;
  try {
    fd = openFile(at);
    return { ...stat, sha256: hashOf(fd) };
  } catch {
    const { sha256: _, ...unread } = stat;
    return unread;
  } finally {
    if (fd !== null) fs.closeSync(fd);
  }
}

/** Reads a file from its current position to the end at that moment; each chunk is valid only until the next. */
export function* chunksOf(fd: number): Generator<Buffer> {
  // Read one byte more than the size, so that a file that grew differs. A writer that never stops cannot keep the agent
  // busy.
  let left = fs.fstatSync(fd).size + 1;
  const chunk = Buffer.allocUnsafe(Math.min(left, CHUNK));
  for (let n = fs.readSync(fd, chunk); n > 0 && left > 0; n = fs.readSync(fd, chunk)) {
    left -= n;
    yield chunk.subarray(0, n);
  }
}

/**
 * Times are exact to a quarter of a microsecond, far finer than the span in which a change is not told from the last.
 * @param before answered again where nothing is another
 */
export function toStat(stat: fs.Stats, before?: FileStat): FileStat {
  const type = stat.isFile() ? 'file' : stat.isDirectory() ? 'directory' : stat.isSymbolicLink() ? 'link' : 'other';
  const { dev, ino, size, mtimeMs, ctimeMs, uid, gid } = stat;
  const mode = stat.mode & 0o7777;
  if (
    before !== undefined &&
    before.ctimeMs === ctimeMs &&
    before.mtimeMs === mtimeMs &&
    before.ino === ino &&
    before.dev === dev &&
    before.size === size &&
    before.mode === mode &&
    before.uid === uid &&
    before.gid === gid &&
    before.links === stat.nlink &&
    before.type === type
  )
    return before;
  return { type, mode, uid, gid, size, links: stat.nlink, dev, ino, mtimeMs, ctimeMs };
}

/** Device, inode, size, modification and change time: while it stays the same, so does the content (but see `changedMsOf`). */
export const identityOf = ({ dev, ino, size, mtimeMs, ctimeMs }: FileStat): string =>
  `${dev}:${ino}:${size}:${mtimeMs}:${ctimeMs}`;

/** Milliseconds since the epoch of the latest change, of content or of metadata. */
export const changedMsOf = ({ mtimeMs, ctimeMs }: FileStat): number => Math.max(mtimeMs, ctimeMs);
