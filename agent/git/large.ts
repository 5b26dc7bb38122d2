/** Large blobs, each inflated in a file of its own: never in a pack, which is read into memory whole. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { type PackedObject, type PackLimits, scanPack } from './pack.ts';
import { broken } from './packet.ts';

/** Blobs from this size on are fetched one by one, and kept here. */
export const LARGE = 1024 * 1024;
const CHUNK = 256 * 1024;

export interface Sized {
  size: number;
  /** Hex, of the content alone. */
  sha256: string;
}

export interface LargeBlobs {
  ids(): Promise<readonly string[]>;
  /**
   * Takes in the pack of this one blob, whole or not at all, in bounded memory.
   * @param incoming a file to be made for the time being, on the same file system
   * @throws AgentError `ProtocolError`
   */
  add(oid: string, pack: AsyncIterable<Uint8Array>, limits: PackLimits, incoming: string): Promise<Sized>;
  /** What it is by now, in bounded memory: reads all of it. null where it is not, or is another by its id. */
  verify(oid: string): Promise<Sized | null>;
  nameOf(oid: string): string;
  /** The bytes as they are on disk; null where they are not. */
  read(oid: string): Promise<Buffer | null>;
  /** Drops all others. */
  retain(keep: ReadonlySet<string>): Promise<void>;
}

/** @param dir made when it is needed; what it holds under the name of an id may be torn by a power cut */
export function openLarge(dir: string): LargeBlobs {
  const nameOf = (oid: string) => path.join(dir, oid);
  const ids = async () => (await readdir(dir).catch(() => [])).filter((name) => /^[0-9a-f]{40}$/.test(name));
  return {
    ids,
    async add(oid, pack, limits, incoming) {
      const handle = await open(incoming, 'w', 0o600);
      const found: PackedObject[] = [];
      const hash = createHash('sha256');
      try {
        const sink = (bytes: Uint8Array) => {
          hash.update(bytes);
          return handle.writeFile(bytes);
        };
        await scanPack(pack, { limits, hold: 0, sink, found: (object) => void found.push(object) });
      } finally {
        await handle.close();
      }
      if (found.length !== 1 || found[0]?.type !== 'blob' || found[0].oid !== oid)
        throw broken(`it sent something else than object ${oid}`);
      await mkdir(dir, { recursive: true, mode: 0o700 });
      await rename(incoming, nameOf(oid));
      return { size: found[0].size, sha256: hash.digest('hex') };
    },
    async verify(oid) {
      const handle = await open(nameOf(oid)).catch(() => null);
      if (handle === null) return null;
      const { size } = await handle.stat();
      const [id, content] = [createHash('sha1').update(`blob ${size}\0`), createHash('sha256')];
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
