/** Large blobs, each inflated in a file of its own: users get the file, so no memory holds it. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, readdir, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { makeDirectories } from '../../directories.ts';

const CHUNK = 256 * 1024;

export interface Sized {
  size: number;
  /** Hex, of the content alone. */
  sha256: string;
}

export interface LargeBlobs {
  ids(): Promise<readonly string[]>;
  /** Moves the file with this blob into the store; it must be on the same file system. */
  take(oid: string, file: string): Promise<void>;
  /** Reads the whole object from disk in bounded memory. null if it is missing, or if its id does not match. */
  verify(oid: string): Promise<Sized | null>;
  nameOf(oid: string): string;
  /** The bytes on disk; null if missing. */
  read(oid: string): Promise<Buffer | null>;
  /** Drops all others. */
  retain(keep: ReadonlySet<string>): Promise<void>;
}

/** @param dir created when needed; a file in it may be torn by a power cut */
export function openLarge(dir: string): LargeBlobs {
  const nameOf = (oid: string) => path.join(dir, oid);
  const ids = async () => (await readdir(dir).catch(() => [])).filter((name) => /^[0-9a-f]{40}$/.test(name));
  return {
    ids,
    async take(oid, file) {
      await makeDirectories(dir);
      await rename(file, nameOf(oid));
    },
    async verify(oid) {
      const handle = await open(nameOf(oid)).catch(() => null);
      if (handle === null) return null;
      const { size } = await handle.stat();
      const id = createHash('sha1').update(`blob ${size}\0`);
      const content = createHash('sha256');
      for await (const chunk of createReadStream('', { fd: handle, highWaterMark: CHUNK })) {
        id.update(chunk);
        content.update(chunk);
      }
      return id.digest('hex') === oid ? { size, sha256: content.digest('hex') } : null;
    },
    nameOf,
    read: (oid) => readFile(nameOf(oid)).catch(() => null),
    async retain(keep) {
      for (const oid of await ids()) if (!keep.has(oid)) await rm(nameOf(oid), { force: true });
    },
  };
}
