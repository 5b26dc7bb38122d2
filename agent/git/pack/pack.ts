/**
 * Checks a pack while it arrives: sizes as announced, no object over its limit, ids computed. Large objects are passed on in
 * pieces. Source: git's Documentation/gitformat-pack.
 */
import { createHash } from 'node:crypto';
import { pipeline } from 'node:stream/promises';
import zlib from 'node:zlib';
import { type Budget, overBudget, type PackLimits } from '../wire/budget.ts';
import { broken } from '../wire/packet.ts';
import { type Inflated, inflate } from './inflate.ts';
import { idOf, type ObjectType } from './objects.ts';
import { createReader, type Reader, TRAILER } from './pack-reader.ts';

export interface ScanOptions {
  limits: PackLimits;
  /** Pays for each object, inflated. */
  budget: Budget;
  /** Blobs up to this size are inflated into memory; larger ones go through `sink`. In bytes. */
  hold: number;
  /** Inflated bytes of a blob that is not held, and the size of all of it. */
  sink(bytes: Uint8Array, size: number): Promise<void>;
  /** Called for each object in the order of the pack. The next object waits until it returns. */
  found(object: PackedObject): Promise<void> | void;
}

export interface PackedObject {
  type: ObjectType | 'delta';
  size: number;
  /** Computed from the data; null for a delta, whose base is needed for it. */
  oid: string | null;
  /** Null if it was not kept in memory. */
  content: Buffer | null;
  /** Offset of the object in the pack. */
  at: number;
  /** For a delta: the offset of its base in this pack, or the id of its base. */
  base: number | string | null;
}

/** More than the bytes of type, size, and base of a delta. */
const LONGEST_HEAD = 60;
const TYPES = { 1: 'commit', 2: 'tree', 3: 'blob', 4: 'tag', 6: 'delta', 7: 'delta' } as const;

/**
 * A pack of a few bytes can claim, or inflate to, more than this host has memory for: nothing is trusted before it came.
 * @throws AgentError `ProtocolError` if it is no pack, `FetchOverBudget` if it exceeds its limits
 */
export async function scanPack(pack: AsyncIterable<Uint8Array>, options: ScanOptions): Promise<void> {
  const reader = createReader(pack, options.limits.pack);
  try {
    const head = await reader.peek(12);
    if (head.length < 12 || head.toString('latin1', 0, 4) !== 'PACK' || head.readUInt32BE(4) !== 2)
      throw broken('what it sent is no pack');
    const objects = head.readUInt32BE(8);
    if (objects > options.limits.objects) throw overBudget('objects', objects, options.limits.objects);
    reader.skip(12);
    for (let left = objects; left > 0; left--) {
      const here = scanHere(reader, options);
      if (here === null && (await reader.peek(TRAILER + 1)).length <= TRAILER)
        throw broken('its pack has fewer objects than it says');
      const dealt = options.found(here ?? (await scanObject(reader, options)));
      if (dealt !== undefined) await dealt;
    }
    const trailer = await reader.peek(TRAILER + 1);
    if (trailer.length > TRAILER) throw broken('its pack has more in it than it says');
    if (reader.hash() !== trailer.toString('hex'))
      throw broken('its pack was cut or changed on the way (the checksum is wrong)');
  } finally {
    await reader.close();
  }
}

/** Most objects are buffered completely: answer them without a wait. null if more bytes must be waited for. */
function scanHere(reader: Reader, options: ScanOptions): PackedObject | null {
  const here = reader.here();
  if (here.length < LONGEST_HEAD + TRAILER) return null;
  const head = headOf(here, reader.skipped());
  if (head === null || head.size > options.limits.object || !isHeld(head, options)) return null;
  const inflated = tryInflate(here.subarray(head.length), head.size);
  if (inflated === null) return null;
  reader.skip(head.length + inflated.read);
  options.budget.spend(head.size);
  return held(head, inflated.content);
}

async function scanObject(reader: Reader, options: ScanOptions): Promise<PackedObject> {
  const head = headOf(await reader.peek(LONGEST_HEAD), reader.skipped());
  if (head === null) throw cut();
  const { type, size, at, base } = head;
  if (size > options.limits.object) throw overBudget('object', size, options.limits.object);
  options.budget.spend(size);
  reader.skip(head.length);
  if (type === 'delta' || isHeld(head, options)) return held(head, await inflateHeld(reader, size));
  const digest = createHash('sha1').update(`${type} ${size}\0`);
  await inflateThrough(reader, size, async (bytes) => {
    digest.update(bytes);
    await options.sink(bytes, size);
  });
  return { type, size, oid: digest.digest('hex'), content: null, at, base };
}

const isHeld = ({ type, size }: Head, { hold }: ScanOptions) => type !== 'blob' || size <= hold;

function held({ type, size, at, base }: Head, content: Buffer): PackedObject {
  return { type, size, oid: type === 'delta' ? null : idOf({ type, bytes: content }), content, at, base };
}

interface Head extends Pick<PackedObject, 'type' | 'size' | 'base' | 'at'> {
  /** Bytes of the head itself. */
  length: number;
}

/**
 * Type and size in 7-bit groups, the lowest four bits first; then what a delta is based on.
 * @param place where in the pack it begins. @returns null if it is cut
 */
function headOf(bytes: Buffer, place: number): Head | null {
  let at = 0;
  let byte = bytes[at++] ?? 0;
  const code = (byte >> 4) & 7;
  let size = byte & 15;
  for (let scale = 16; byte & 0x80; scale *= 128) {
    byte = bytes[at++] ?? 0;
    size += (byte & 0x7f) * scale;
    if (size > Number.MAX_SAFE_INTEGER) throw broken('its pack has an object of impossible size');
  }
  const type = (TYPES as Record<number, PackedObject['type']>)[code];
  if (type === undefined) throw broken('its pack has an object of no known type');
  let base: PackedObject['base'] = null;
  if (code === 7) {
    base = bytes.toString('hex', at, at + 20);
    at += 20;
  }
  if (code === 6) {
    byte = bytes[at++] ?? 0;
    let back = byte & 0x7f;
    while (byte & 0x80) {
      byte = bytes[at++] ?? 0;
      back = (back + 1) * 128 + (byte & 0x7f);
    }
    base = place - back;
  }
  return at > bytes.length ? null : { type, size, base, at: place, length: at };
}

/** Inflates synchronously, which is fast for many small objects. */
async function inflateHeld(reader: Reader, size: number): Promise<Buffer> {
  for (let want = 1; ; ) {
    const from = await reader.peek(want);
    const inflated = tryInflate(from, size);
    if (inflated !== null) {
      reader.skip(inflated.read);
      return inflated.content;
    }
    if (from.length < want) throw cut();
    want = Math.max(from.length * 2, 1024);
  }
}

/** In pieces, each dealt with before the next one is made: memory stays as it is, however large the object. */
async function inflateThrough(reader: Reader, size: number, deal: (bytes: Uint8Array) => Promise<void>): Promise<void> {
  const engine = zlib.createInflate({ chunkSize: 256 * 1024 });
  let total = 0;
  const dealt = pipeline(engine, async (pieces: AsyncIterable<Uint8Array>) => {
    for await (const piece of pieces) {
      total += piece.length;
      if (total > size) throw notInflated('larger than announced');
      await deal(piece);
    }
  });
  const failed = dealt.then(() => undefined);
  failed.catch(() => undefined);
  try {
    for (let given = 0, over = 0; over === 0; ) {
      const chunk = await reader.peek(1);
      if (chunk.length === 0) throw cut();
      given += chunk.length;
      await Promise.race([new Promise((done) => engine.write(chunk, done)), failed]);
      // The bytes that the inflater did not consume come after the end of this object.
      over = given - engine.bytesWritten;
      reader.skip(chunk.length - over);
    }
    engine.end();
    await dealt;
  } catch (thrown) {
    engine.destroy();
    await failed.catch(() => undefined);
    throw /^Z_/.test((thrown as NodeJS.ErrnoException).code ?? '') ? notInflated(thrown) : thrown;
  }
  if (total !== size) throw notInflated('smaller than announced');
}

function tryInflate(from: Buffer, size: number): Inflated | null {
  try {
    return inflate(from, size);
  } catch (cause) {
    throw notInflated(cause);
  }
}

const cut = () => broken('its pack was cut on the way');
const notInflated = (cause: unknown) =>
  broken(`its pack has an object that cannot be inflated (${cause instanceof Error ? cause.message : cause})`);
