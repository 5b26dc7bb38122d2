/**
 * Files beside the database that survive a power cut, whole: written under another name, synced, renamed, and then the
 * directory is synced, since the new name lies there and not in the file (fsync(2)). Root's own.
 */
import { closeSync, fsyncSync, openSync, renameSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import path from 'node:path';

const MODE = 0o600;

/** Durable when it returns. Throws what the disk does; then the file is what it was. */
export function replaceFile(file: string, text: string): void {
  const temp = `${file}.tmp`;
  const fd = openSync(temp, 'w', MODE);
  try {
    writeFileSync(fd, text);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(temp, file);
  sync(path.dirname(file));
}

/** Gives a file that somebody else wrote its name; both are durable when it returns. */
export function renameDurably(from: string, to: string): void {
  sync(from);
  renameSync(from, to);
  sync(path.dirname(to));
}

function sync(fileOrDirectory: string): void {
  const fd = openSync(fileOrDirectory, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** All of a file but its name is durable when this resolves: whoever writes it elsewhere renames it, and calls `syncDirectory`. */
export async function writeDurable(file: string, content: string | Iterable<Uint8Array>): Promise<void> {
  const handle = await open(file, 'w', MODE);
  try {
    await handle.writeFile(content);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** The names in it are durable when this resolves. */
export async function syncDirectory(dir: string): Promise<void> {
  const handle = await open(dir, 'r');
  await handle.sync().finally(() => handle.close());
}
