/** Reads files of this machine by path: large files of a checkout, and files that settings name. */
import { closeSync, constants, existsSync, fstatSync, openSync, readFileSync, readSync, statSync } from 'node:fs';
import { open, stat } from 'node:fs/promises';

/** The whole file; null if it does not exist. */
export const readWhole = (file: string): Uint8Array | null => (existsSync(file) ? readFileSync(file) : null);

/** The first and the last `most` bytes of a file, or all of a shorter one; null if it does not exist. */
export function readEnds(file: string, most: number): Uint8Array | null {
  if (!existsSync(file)) return null;
  const fd = openSync(file, 'r');
  try {
    const { size } = fstatSync(fd);
    const head = Math.min(size, most);
    const tail = Math.min(size - head, most);
    const bytes = Buffer.alloc(head + tail);
    readSync(fd, bytes, 0, head, 0);
    readSync(fd, bytes, head, tail, size - tail);
    return bytes;
  } finally {
    closeSync(fd);
  }
}

const MIB = 1024 * 1024;
/** Maximum size of a file that settings name, such as a password, a certificate or a list of variables, in bytes. */
const MOST_NAMED = 4 * MIB;
/** Opening a pipe without a writer must not block. */
const HOW = constants.O_RDONLY | constants.O_NONBLOCK;
/** Paths that a shell creates for `<(command)` and `-`: they are open in this process, and its starter writes to them. */
const OWN_DESCRIPTOR = /^\/dev\/(fd\/\d+|stdin)$/;

/**
 * Reads a file that settings name: a regular one of at most 4 MiB. Nothing else is opened, because a pipe may never end
 * and opening a device can have an effect.
 * @throws Unread, whose message is only the reason, for use after the name of the file
 */
export async function readNamed(file: string): Promise<Buffer> {
  try {
    if (!OWN_DESCRIPTOR.test(file)) refuse(await stat(file));
    const handle = await open(file, OWN_DESCRIPTOR.test(file) ? constants.O_RDONLY : HOW);
    try {
      // Another file may have replaced it since.
      if (!OWN_DESCRIPTOR.test(file)) refuse(await handle.stat());
      const parts: Buffer[] = [];
      for (let size = 0; ; ) {
        const { bytesRead, buffer } = await handle.read(Buffer.alloc(64 * 1024), 0, 64 * 1024, null);
        if (bytesRead === 0) return Buffer.concat(parts);
        parts.push(buffer.subarray(0, bytesRead));
        size += bytesRead;
        if (size > MOST_NAMED) throw tooLarge();
      }
    } finally {
      await handle.close();
    }
  } catch (thrown) {
    throw unread(thrown);
  }
}

/** The same, synchronously, for a start. */
export function readNamedSync(file: string): Buffer {
  try {
    if (!OWN_DESCRIPTOR.test(file)) refuse(statSync(file));
    const fd = openSync(file, OWN_DESCRIPTOR.test(file) ? constants.O_RDONLY : HOW);
    try {
      if (!OWN_DESCRIPTOR.test(file)) refuse(fstatSync(fd));
      const parts: Buffer[] = [];
      for (let size = 0; ; ) {
        const part = Buffer.alloc(64 * 1024);
        const count = readSync(fd, part);
        if (count === 0) return Buffer.concat(parts);
        parts.push(part.subarray(0, count));
        size += count;
        if (size > MOST_NAMED) throw tooLarge();
      }
    } finally {
      closeSync(fd);
    }
  } catch (thrown) {
    throw unread(thrown);
  }
}

/** Checks that a program may be given this file. @throws Unread */
export async function checkNamed(file: string): Promise<void> {
  try {
    refuse(await stat(file));
  } catch (thrown) {
    throw unread(thrown);
  }
}

function refuse(found: { isFile(): boolean; size: number }): void {
  if (!found.isFile()) throw new Error('it is no regular file');
  if (found.size > MOST_NAMED) throw tooLarge();
}

const tooLarge = () => new Error(`it is larger than ${MOST_NAMED / MIB} MiB`);

/** The reason in words; the code of the system call is a property. */
const WORDS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'there is no such file',
  EROFS: 'the file system is read only',
  ENOSPC: 'the disk is full',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EISDIR: 'it is no regular file',
  ELOOP: 'its links go round in a circle',
};

/** Why a file that settings name could not be read; `code` is that of the system call, if one failed. */
export class Unread extends Error {
  readonly code: string | undefined;
  constructor(message: string, cause: unknown) {
    super(message, { cause });
    this.code = (cause as NodeJS.ErrnoException).code;
  }
}

/** Why a system call failed, in a few words for use after the name of the action. */
export function whyUnread(thrown: unknown): string {
  const { code, message } = thrown as NodeJS.ErrnoException;
  return WORDS[code ?? ''] ?? code ?? message;
}

const unread = (thrown: unknown): Unread => new Unread(whyUnread(thrown), thrown);
