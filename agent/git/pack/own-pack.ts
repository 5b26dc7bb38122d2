/**
 * Packs of our own: every object whole, deflated by ourselves, so that no pack needs another one and nothing that is read
 * has to be followed from delta to delta. In git's own format, so that git can look at them.
 * Source: git's Documentation/gitformat-pack.
 */
import { createHash } from 'node:crypto';
import { open, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import zlib from 'node:zlib';
import { DamagedObject, type Identified, type ObjectType, unpooled, type Whole } from './objects.ts';

/** An object in a pack: where its bytes begin and end. */
export interface Place {
  /** The pack, without a suffix. */
  file: string;
  start: number;
  end: number;
}

const CODES: Record<ObjectType, number> = { commit: 1, tree: 2, blob: 3, tag: 4 };
const TYPES: readonly (ObjectType | undefined)[] = [undefined, 'commit', 'tree', 'blob', 'tag'];
/** Larger objects are deflated in another thread. */
const DEFLATE_HERE = 64 * 1024;
/** Bytes deflated before others get a turn. */
const TURN = 1024 * 1024;
const INDEX_HEAD = 8;
const FANOUT = 256 * 4;
const TRAILER = 20;
/** Bytes of an index that are read at most: a million objects have less. */
const MAX_INDEX = 32 * 1024 * 1024;
/** Type and size take ten bytes at most. */
const LONGEST_HEAD = 10;
const deflate = promisify(zlib.deflate);

/**
 * Writes one pack and its index. The index comes last and by a rename: a pack counts once it has one.
 * @param dir must exist
 * @param objects each once; the offsets in an index have 31 bits, so 2 GiB is the end
 * @returns the name of the pack in `dir`, without a suffix; null if there are no objects
 */
export async function writePack(
  dir: string,
  objects: AsyncIterable<Identified> | Iterable<Identified>,
  count: number,
): Promise<string | null> {
  if (count === 0) return null;
  const temporary = path.join(dir, 'pack.new');
  const handle = await open(temporary, 'w', 0o600);
  const digest = createHash('sha1');
  const entries: Entry[] = [];
  let at = 0;
  const put = async (bytes: Uint8Array) => {
    digest.update(bytes);
    at += bytes.length;
    await handle.writeFile(bytes);
  };
  try {
    const head = Buffer.from('PACK\0\0\0\x02\0\0\0\0', 'latin1');
    head.writeUInt32BE(count, 8);
    await put(head);
    const packer = createPacker();
    for await (const object of objects) {
      const bytes = await packer(object);
      entries.push({ oid: object.oid, at, crc: zlib.crc32(bytes) });
      await put(bytes);
    }
    if (entries.length !== count) throw new Error(`${entries.length} objects came where ${count} were announced`);
    const sum = digest.digest();
    await handle.writeFile(sum);
    await handle.close();
    const name = `pack-${sum.toString('hex')}`;
    await rename(temporary, path.join(dir, `${name}.pack`));
    const index = await open(temporary, 'w', 0o600);
    await index.writeFile(indexOf(entries, sum)).finally(() => index.close());
    await rename(temporary, path.join(dir, `${name}.idx`));
    return name;
  } catch (thrown) {
    await handle.close().catch(() => undefined);
    await rm(temporary, { force: true });
    throw thrown;
  }
}

/** Encodes an object for a pack, and yields between large parts. */
function createPacker(): (object: Whole) => Promise<Buffer> {
  let done = 0;
  return async ({ type, bytes }) => {
    done += bytes.length;
    if (done > TURN) {
      done = 0;
      await new Promise(setImmediate);
    }
    const options = { level: zlib.constants.Z_BEST_SPEED };
    const body =
      bytes.length > DEFLATE_HERE
        ? await deflate(bytes, options)
        : zlib.deflateSync(bytes, { ...options, chunkSize: chunkFor(bytes.length) });
    return Buffer.concat([headOf(type, bytes.length), body]);
  };
}

const chunkFor = (size: number) => Math.min(Math.max(size + 64, 64), 16_384);

/** Type and size in 7-bit groups, the lowest four bits first. */
function headOf(type: ObjectType, size: number): Buffer {
  const bytes = [(CODES[type] << 4) | (size & 15)];
  for (let left = Math.floor(size / 16); left > 0; left = Math.floor(left / 128)) {
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) | 0x80;
    bytes.push(left & 0x7f);
  }
  return Buffer.from(bytes);
}

interface Entry {
  oid: string;
  at: number;
  crc: number;
}

/** A pack index of version 2. */
function indexOf(entries: Entry[], pack: Buffer): Buffer {
  entries.sort((a, b) => (a.oid < b.oid ? -1 : 1));
  const count = entries.length;
  const index = Buffer.alloc(INDEX_HEAD + FANOUT + count * 28 + 2 * TRAILER);
  index.writeUInt32BE(0xff744f63, 0);
  index.writeUInt32BE(2, 4);
  const ids = INDEX_HEAD + FANOUT;
  for (const [n, { oid, at, crc }] of entries.entries()) {
    const first = INDEX_HEAD + 4 * Number.parseInt(oid.slice(0, 2), 16);
    index.writeUInt32BE(n + 1, first);
    index.write(oid, ids + 20 * n, 'hex');
    index.writeUInt32BE(crc, ids + 20 * count + 4 * n);
    index.writeUInt32BE(at, ids + 24 * count + 4 * n);
  }
  // So far each field has the number of the last of its ids: those without any have what those before them have.
  for (let byte = 1; byte < 256; byte++) {
    const before = index.readUInt32BE(INDEX_HEAD + 4 * (byte - 1));
    if (index.readUInt32BE(INDEX_HEAD + 4 * byte) < before) index.writeUInt32BE(before, INDEX_HEAD + 4 * byte);
  }
  pack.copy(index, index.length - 2 * TRAILER);
  createHash('sha1')
    .update(index.subarray(0, -TRAILER))
    .digest()
    .copy(index, index.length - TRAILER);
  return index;
}

/**
 * Offsets of the objects in a pack, by its index of version 2.
 * @param file the pack, without a suffix
 * @returns null if the index is damaged or was changed since it was written
 */
export async function readIndex(file: string): Promise<ReadonlyMap<string, Place> | null> {
  const index = await readFile(`${file}.idx`);
  const ids = INDEX_HEAD + FANOUT;
  if (index.length < ids + 2 * TRAILER || index.length > MAX_INDEX || index.readUInt32BE(0) !== 0xff744f63) return null;
  const sum = createHash('sha1').update(index.subarray(0, -TRAILER)).digest();
  if (!sum.equals(index.subarray(-TRAILER))) return null;
  const count = index.readUInt32BE(ids - 4);
  if (index.length !== ids + count * 28 + 2 * TRAILER) return null;
  const starts = Array.from({ length: count }, (_, n) => index.readUInt32BE(ids + 24 * count + 4 * n));
  const end = await open(`${file}.pack`).then(
    async (handle) => (await handle.stat().finally(() => handle.close())).size - TRAILER,
    () => 0,
  );
  const sorted = Float64Array.from([...starts, end]).sort();
  const next = new Map<number, number>();
  for (const [n, start] of sorted.entries()) next.set(start, sorted[n + 1] ?? start);
  const places = new Map<string, Place>();
  for (const [n, start] of starts.entries())
    places.set(index.toString('hex', ids + 20 * n, ids + 20 * n + 20), { file, start, end: next.get(start) ?? start });
  return places;
}

/** @returns what a piece of a pack says it is, without its id being checked. @throws DamagedObject where it is no whole object */
export function unpackOne(piece: Buffer, limit: number): Whole {
  let at = 0;
  let byte = piece[at++] ?? 0;
  const type = TYPES[(byte >> 4) & 7];
  let size = byte & 15;
  for (let scale = 16; byte & 0x80 && at <= LONGEST_HEAD; scale *= 128) {
    byte = piece[at++] ?? 0;
    size += (byte & 0x7f) * scale;
  }
  // Earlier versions kept deltas as they came, and two of them could be based on each other.
  if (type === undefined) throw new DamagedObject('it is kept as a change of another one');
  if (size > limit) throw new DamagedObject(`it says that it has ${size} bytes`);
  try {
    const bytes = zlib.inflateSync(piece.subarray(at), { maxOutputLength: size + 1, chunkSize: chunkFor(size) });
    if (bytes.length !== size) throw new Error('it has another size than it says');
    return { type, bytes: unpooled(bytes) };
  } catch (cause) {
    throw new DamagedObject(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}
