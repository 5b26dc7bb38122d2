/** An incoming pack: its objects stay separate, in memory or on disk, until it is complete. */
import { createHash, type Hash } from 'node:crypto';
import { type FileHandle, open, readFile, rename } from 'node:fs/promises';
import path from 'node:path';
import { makeDirectories } from '../../directories.ts';
import type { Identified, Whole } from '../pack/objects.ts';
import type { Unpack } from '../pack/unpack.ts';
import { LARGE, type PackLimits } from '../wire/budget.ts';
import { broken } from '../wire/packet.ts';
import type { LargeBlobs, Sized } from './large.ts';
import { openPackDirectory, type PackDirectory } from './pack-directory.ts';

/** Memory that an object takes besides its bytes, rounded up: there may be very many small ones. */
const OVERHEAD = 512;

export interface ReceptionOptions {
  /** Directory for objects that do not stay in memory; created when needed. */
  dir: string;
  limits: PackLimits;
  /** Bytes of objects that stay in memory. */
  heldBytes: number;
  /** Objects of before, which deltas may be based on. */
  base(oid: string): Promise<Whole | null>;
  unpack: Unpack;
}

export interface Received {
  /** The received objects that are in memory. */
  objects: ReadonlyMap<string, Whole>;
  large: ReadonlyMap<string, Sized>;
  /** Number of received objects. */
  count: number;
  /** Moves the files to their place. */
  adoptInto(packs: PackDirectory, blobs: LargeBlobs): Promise<void>;
}

interface Incoming {
  handle: FileHandle;
  id: Hash;
  content: Hash;
}

/** @throws AgentError `ProtocolError`, `FetchOverBudget` */
export async function receive(pack: AsyncIterable<Uint8Array>, options: ReceptionOptions): Promise<Received> {
  const { dir, limits, heldBytes } = options;
  const objects = new Map<string, Whole>();
  const large = new Map<string, Sized>();
  const staged = openPackDirectory(path.join(dir, 'packs'));
  const fileOf = (oid: string) => path.join(dir, oid);
  const temporary = path.join(dir, 'large.new');
  let heldNow = 0;
  let count = 0;
  let coming: Incoming | null = null;

  async function piece(bytes: Uint8Array, size: number): Promise<void> {
    if (coming === null) {
      await makeDirectories(dir);
      const id = createHash('sha1').update(`blob ${size}\0`);
      coming = { handle: await open(temporary, 'w', 0o600), id, content: createHash('sha256') };
    }
    coming.id.update(bytes);
    coming.content.update(bytes);
    await coming.handle.writeFile(bytes);
  }

  async function finish(size: number): Promise<void> {
    if (coming === null) throw broken('it sent a file without content');
    const { handle, id, content } = coming;
    coming = null;
    await handle.close();
    const oid = id.digest('hex');
    await rename(temporary, fileOf(oid));
    large.set(oid, { size, sha256: content.digest('hex') });
    count++;
  }

  async function object({ oid, type, bytes }: Identified): Promise<void> {
    if (type === 'blob' && bytes.length > LARGE) {
      await piece(bytes, bytes.length);
      await finish(bytes.length);
      return;
    }
    count++;
    if (objects.has(oid)) return;
    objects.set(oid, { type, bytes });
    heldNow += bytes.length + OVERHEAD;
    if (heldNow <= heldBytes) return;
    const all = [...objects].map(([id, whole]) => ({ oid: id, ...whole }));
    await staged.write(all, all.length);
    objects.clear();
    heldNow = 0;
  }

  async function base(oid: string): Promise<Whole | null> {
    const near = objects.get(oid) ?? (await staged.read(oid));
    if (near !== null) return near;
    if (large.has(oid)) return { type: 'blob', bytes: await readFile(fileOf(oid)) };
    return options.base(oid);
  }

  try {
    await options.unpack(pack, { limits, base, object, piece, large: finish });
  } finally {
    await (coming as Incoming | null)?.handle.close();
  }
  return {
    objects,
    large,
    count,
    async adoptInto(packs, blobs) {
      for (const oid of large.keys()) await blobs.take(oid, fileOf(oid));
      await packs.adopt(staged);
    },
  };
}
