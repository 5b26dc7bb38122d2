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

/** One fsync of a directory stands for all renames in it that came before the fsync began. */
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

/** How many names of a directory are looked at for leftovers: others may put any number there. */
const SWEPT = 20_000;

/** Removes what a process that was cut off between making and renaming left behind. Whatever else has such a name stays. */
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

/** As many names as that, at most, and none of `keep`: a directory may have any number. */
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

/** Of an open file. */
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

/** Of a directory, or of a file that has one name only and belongs to that user already. */
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

/** Adds the hash of a regular file where it is asked for. One that is replaced meanwhile has none: it differs. */
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

/** A file from where it stands to its end, as far as that was when it began; each chunk only until the next. */
export function* chunksOf(fd: number): Generator<Buffer> {
  // One more than it has, so that a file that grew differs. Whoever goes on writing to it keeps nobody busy.
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
