/** Many files at once: all of them made under temporary names, made durable together, then renamed. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { promisify } from 'node:util';
import { StoredFile } from '../../core/payload/payload.ts';
import type { Exec } from '../exec.ts';
import { explain } from '../paths/errors.ts';
import type { OpenDirectory, SharedDirectories } from '../paths/shared-directories.ts';
import { sideBySide } from '../side-by-side.ts';
import { setOwnerAndMode, toStat } from './io.ts';
import { fill } from './stored-file.ts';
import type { FileStat, NewFile, WriteOptions, Written } from './types.ts';

const { O_NOFOLLOW, O_RDONLY, O_WRONLY, O_CREAT, O_EXCL } = fs.constants;
const NEW = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
const fsync = promisify(fs.fsync);
/** Set-user-id, set-group-id, sticky: inode(7). */
const SPECIAL = 0o7000;
const groupOf = (mode: number) => (mode >> 3) & 0o7;

export interface WriteManyOptions {
  exec: Exec;
  shared: SharedDirectories;
  /** A fresh temporary name for `file`, in its open directory. */
  tempIn(directory: OpenDirectory, file: string): string;
  /** Makes the names in an open directory durable. */
  syncDirectory(dir: number): Promise<void>;
}

interface Made {
  file: string;
  dir: number;
  temp: string;
  stat: FileStat;
}

/** From as many files on one sync of their file system costs less than one of each file. */
export const MANY = 32;
/** Other work gets a turn after this many. */
const SLICE = 64;
/**
 * A sync of the whole file system also writes the dirty pages of others. A sync of one file costs about as much as writing
 * this many bytes, on disks of any speed.
 */
const BYTES_A_SYNC = 512 * 1024;
/** Syncs of files side by side: a journal commits for all that wait for it. */
const WIDTH = 4;
const SYNC_TIMEOUT_MS = 600_000;

/** A file whose write failed is unchanged. */
export async function writeMany(
  { exec, shared, tempIn, syncDirectory }: WriteManyOptions,
  entries: readonly NewFile[],
): Promise<Written> {
  const failed = new Map<string, Error>();
  const borrowed: { file: string; directory: OpenDirectory }[] = [];
  let made: Made[] = [];
  const fail = ({ file, temp }: Pick<Made, 'file'> & Partial<Made>, thrown: unknown) => {
    if (temp !== undefined) fs.rmSync(temp, { force: true });
    failed.set(file, explain('write', file, thrown));
  };
  try {
    let count = 0;
    for (const members of Map.groupBy(entries, ({ file }) => shared.keyOf(file)).values()) {
      /** Directory of the last file. Somebody may have moved it since. */
      let directory: OpenDirectory | null = null;
      for (const entry of members) {
        const { file, content, options } = entry;
        if (++count % SLICE === 0) {
          await setImmediate();
          directory = null;
        }
        let temp: string | undefined;
        try {
          if (directory === null) {
            directory = shared.borrow(file);
            borrowed.push({ file, directory });
          } else shared.check(file, directory);
          temp = tempIn(directory, file);
          const one = { file, dir: directory.dir, temp };
          if (content instanceof StoredFile) {
            directory = null;
            made.push({ ...one, stat: await makeFile(temp, entry) });
          } else made.push({ ...one, stat: makeSmallFile(temp, content, options) });
        } catch (thrown) {
          fail({ file, ...(temp === undefined ? {} : { temp }) }, thrown);
        }
      }
    }
    if (!(await syncAll(exec, made)))
      await sideBySide(made, WIDTH, (one) => syncFile(one.temp).catch((thrown) => fail(one, thrown)));
    made = made.filter((one) => !failed.has(one.file));
    for (const one of made) {
      try {
        fs.renameSync(one.temp, `/proc/self/fd/${one.dir}/${path.basename(one.file)}`);
      } catch (thrown) {
        fail(one, thrown);
      }
    }
    made = made.filter((one) => !failed.has(one.file));
    await Promise.all(
      [...Map.groupBy(made, ({ dir }) => dir)].map(([dir, members]) =>
        syncDirectory(dir).catch((thrown) => {
          for (const { file } of members) fail({ file }, thrown);
        }),
      ),
    );
    const written = new Map(made.filter(({ file }) => !failed.has(file)).map(({ file, stat }) => [file, stat]));
    return { written, failed };
  } finally {
    for (const { file, directory } of borrowed) shared.giveBack(file, directory);
  }
}

/** Under a name that must be free. @param sync makes it durable */
export async function makeFile(
  temp: string,
  { content, options }: Omit<NewFile, 'file'>,
  sync?: (fd: number) => Promise<void>,
): Promise<FileStat> {
  const fd = fs.openSync(temp, NEW, 0o600);
  try {
    await fill(fd, content);
    setOwnerAndMode(fd, options);
    const stat = toStat(fs.fstatSync(fd));
    await sync?.(fd);
    return stat;
  } finally {
    fs.closeSync(fd);
  }
}

/** The same for content in memory, written together. */
function makeSmallFile(temp: string, bytes: Uint8Array, options: WriteOptions): FileStat {
  const { uid, gid, mode } = options;
  const isOwned = (stat: fs.Stats) => (uid === -1 || stat.uid === uid) && (gid === -1 || stat.gid === gid);
  const fd = fs.openSync(temp, NEW, 0o600);
  try {
    fs.writeFileSync(fd, bytes);
    // A new file mostly has the right owner already, as stat(2) shows. Meanwhile a wrong owner is root, and a wrong group,
    // that of the directory, must gain no access.
    if ((mode & SPECIAL) === 0 && (groupOf(mode) & ~mode & 0o7) === 0) {
      fs.fchmodSync(fd, mode);
      const stat = fs.fstatSync(fd);
      if (isOwned(stat)) return toStat(stat);
    }
    setOwnerAndMode(fd, options);
    return toStat(fs.fstatSync(fd));
  } finally {
    fs.closeSync(fd);
  }
}

async function syncFile(temp: string): Promise<void> {
  const fd = fs.openSync(temp, O_RDONLY | O_NOFOLLOW);
  try {
    await fsync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

/**
 * syncfs(2) on each file system, which Node does not have, by sync(1) of coreutils.
 * @returns false if that could not be done, or might not be worth it: then each file is to be synced
 */
async function syncAll(exec: Exec, made: readonly Made[]): Promise<boolean> {
  if (!tellsErrors() || dirtyBytes() > made.length * BYTES_A_SYNC) return false;
  const dirs = new Set(made.map(({ dir }) => dir));
  const byDevice = new Map([...dirs].map((dir) => [fs.fstatSync(dir).dev, dir]));
  for (const dir of byDevice.values()) {
    const argv = ['sync', '-f', `/proc/${process.pid}/fd/${dir}`];
    if ((await exec(argv, { timeoutMs: SYNC_TIMEOUT_MS })).code !== 0) return false;
  }
  return true;
}

/** Before Linux 5.8 syncfs(2) kept silent about what could not be written. */
function tellsErrors(): boolean {
  const [major = 0, minor = 0] = os.release().split('.').map(Number);
  return major > 5 || (major === 5 && minor >= 8);
}

/** Dirty bytes that the kernel has yet to write (proc_meminfo(5)). */
function dirtyBytes(): number {
  try {
    const lines = fs.readFileSync('/proc/meminfo', 'utf8').matchAll(/^(?:Dirty|Writeback):\s+(\d+) kB$/gm);
    return [...lines].reduce((sum, [, kilobytes]) => sum + Number(kilobytes) * 1024, 0);
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
