/**
 * Files beside the database that survive a power cut, complete: a file is written under another name, synced and renamed, and
 * then the directory is synced, because it contains the new name (fsync(2)). Readable by root only.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import path from 'node:path';

const MODE = 0o600;

/** Durable when it returns. Throws errors of the disk; then the file is unchanged. */
export function replaceFile(file: string, text: string): void {
  const temp = `${file}.tmp`;
  writeSynced(temp, text, 'w');
  renameSync(temp, file);
  sync(path.dirname(file));
}

/** Durable when it returns. @returns false if the file exists, also if another process was first; it is left as it is */
export function createFile(file: string, text: string): boolean {
  const temp = `${file}.${process.pid}.tmp`;
  removeLeft(file);
  writeSynced(temp, text, 'wx');
  try {
    // link(2) fails if the name exists.
    linkSync(temp, file);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'EEXIST') throw thrown;
    // The other process may not have made its name durable yet.
    sync(path.dirname(file));
    return false;
  } finally {
    rmSync(temp, { force: true });
  }
  sync(path.dirname(file));
  return true;
}

/** Removes what a power cut left of this file; a process that runs may be just making it. */
function removeLeft(file: string): void {
  const [dir, start] = [path.dirname(file), `${path.basename(file)}.`];
  for (const name of readdirSync(dir)) {
    if (!name.startsWith(start)) continue;
    const [, pid] = /^(\d+)\.tmp$/.exec(name.slice(start.length)) ?? [];
    // A process that runs with our number is this one.
    const isLeft = pid !== undefined && (Number(pid) === process.pid || !existsSync(`/proc/${pid}`));
    if (isLeft) rmSync(path.join(dir, name), { force: true });
  }
}

/** Renames a file that somebody else wrote; content and name are durable when it returns. */
export function renameDurably(from: string, to: string): void {
  sync(from);
  renameSync(from, to);
  sync(path.dirname(to));
}

/** @param flags `wx` refuses a file that exists: open(2) */
function writeSynced(file: string, text: string, flags: 'w' | 'wx'): void {
  const fd = openSync(file, flags, MODE);
  try {
    writeFileSync(fd, text);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function sync(fileOrDirectory: string): void {
  const fd = openSync(fileOrDirectory, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Makes the content of a file durable, but not its name: the caller renames it and calls `syncDirectory`. */
export async function writeDurable(file: string, content: string | Iterable<Uint8Array>): Promise<void> {
  const handle = await open(file, 'w', MODE);
  try {
    await handle.writeFile(content);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** The names in the directory are durable when this resolves. */
export async function syncDirectory(dir: string): Promise<void> {
  const handle = await open(dir, 'r');
  await handle.sync().finally(() => handle.close());
}
