/**
 * Looks through a pack while it comes: sizes as announced, none too large, ids computed. What is large passes through
 * in pieces. Source: git's Documentation/gitformat-pack.
 */
import { createHash, hash } from 'node:crypto';
import { pipeline } from 'node:stream/promises';
import zlib from 'node:zlib';
import { AgentError } from '../errors.ts';
import { createInflater, type Inflated, type Inflater } from './inflate.ts';
import { broken } from './packet.ts';

export interface PackLimits {
  /** Bytes on the wire. */
  pack: number;
  /** Bytes of one object, inflated and with its deltas applied. */
  object: number;
}

export interface ScanOptions {
  limits: PackLimits;
  /** Bytes up to which an object is inflated into memory, and handed over; what is larger passes through `sink`. */
  hold: number;
  /** The pack's bytes as they come. */
  spool?(bytes: Uint8Array): Promise<void>;
  /** Inflated bytes of an object that is not held. */
  sink?(bytes: Uint8Array): Promise<void>;
  found(object: PackedObject): void;
}

export interface PackedObject {
  type: 'commit' | 'tree' | 'blob' | 'tag' | 'delta';
  size: number;
  /** Computed from what came; null for a delta, whose base is needed to tell. */
  oid: string | null;
  /** null where it was not held. */
  content: Buffer | null;
  /** Where in the pack it begins. */
  at: number;
  /** Of a delta: where its base begins in this pack, or the id of its base. */
  base: number | string | null;
}

/** One object is larger than the limit. */
export class TooLarge extends AgentError {
  readonly size: number;
  constructor(size: number, limit: number) {
    const mib = Math.floor(limit / MIB);
    const why = `it has an object of ${Math.ceil(size / MIB)} MiB; ${mib} MiB are the limit (keep large files out of the repository)`;
    super({ code: 'ProtocolError', phase: 'fetch', message: `the git server is not right: ${why}` });
    this.size = size;
  }
}

const MIB = 1024 * 1024;
const TRAILER = 20;
/** What a delta begins with: the sizes of its base and of its result. */
const TWO_SIZES = 20;
/** Type and size, and what a delta is based on, take fewer bytes. */
const LONGEST_HEAD = 60;
const TYPES = { 1: 'commit', 2: 'tree', 3: 'blob', 4: 'tag', 6: 'delta', 7: 'delta' } as const;

/**
 * A pack of a few bytes can claim, or inflate to, more than this host has memory for: nothing is trusted before it came.
 * @returns how many objects it has, and its name: the hash of all its bytes before the last twenty
 * @throws AgentError `ProtocolError`
 */
export async function scanPack(
  pack: AsyncIterable<Uint8Array>,
  options: ScanOptions,
): Promise<{ objects: number; id: string }> {
  const reader = createReader(pack, options);
  const inflater = createInflater();
  try {
    const head = await reader.peek(12);
    if (head.length < 12 || head.toString('latin1', 0, 4) !== 'PACK' || head.readUInt32BE(4) !== 2)
      throw broken('what it sent is no pack');
    const objects = head.readUInt32BE(8);
    reader.skip(12);
    for (let left = objects; left > 0; left--) {
      const here = scanHere(reader, inflater, options);
      if (here === null && (await reader.peek(TRAILER + 1)).length <= TRAILER)
        throw broken('its pack has fewer objects than it says');
      options.found(here ?? (await scanObject(reader, inflater, options)));
    }
    const trailer = await reader.peek(TRAILER + 1);
    if (trailer.length > TRAILER) throw broken('its pack has more in it than it says');
    const id = reader.hash();
    if (id !== trailer.toString('hex')) throw broken('its pack was cut or changed on the way (the checksum is wrong)');
    return { objects, id };
  } finally {
    inflater.close();
    await reader.close();
  }
}

/** What is held and all here already, as most objects are: found without a wait. null where it must be waited for. */
function scanHere(reader: Reader, inflater: Inflater, { limits, hold }: ScanOptions): PackedObject | null {
  const here = reader.here();
  if (here.length < LONGEST_HEAD + TRAILER) return null;
  const head = headOf(here, reader.skipped());
  if (head === null || head.size > Math.min(hold, limits.object)) return null;
  const inflated = inflate(inflater, here.subarray(head.length), head.size);
  if (inflated === null) return null;
  reader.skip(head.length + inflated.read);
  return held(head, inflated.content, limits);
}

async function scanObject(
  reader: Reader,
  inflater: Inflater,
  { limits, hold, sink }: ScanOptions,
): Promise<PackedObject> {
  const head = headOf(await reader.peek(LONGEST_HEAD), reader.skipped());
  if (head === null) throw cut();
  const { type, size, at, base } = head;
  if (size > limits.object) throw new TooLarge(size, limits.object);
  reader.skip(head.length);
  if (size <= hold) return held(head, await inflateHeld(reader, inflater, size), limits);
  const digest = type === 'delta' ? null : createHash('sha1').update(`${type} ${size}\0`);
  let start: Uint8Array = Buffer.alloc(0);
  await inflateThrough(reader, size, async (bytes) => {
    // A server may send its pieces a byte long.
    if (start.length < TWO_SIZES) start = Buffer.concat([start, bytes.subarray(0, TWO_SIZES - start.length)]);
    digest?.update(bytes);
    await sink?.(bytes);
  });
  refuseLarge(type, start, limits);
  return { type, size, oid: digest?.digest('hex') ?? null, content: null, at, base };
}

function held({ type, size, at, base }: Head, content: Buffer, limits: PackLimits): PackedObject {
  refuseLarge(type, content, limits);
  const oid = type === 'delta' ? null : hash('sha1', Buffer.concat([Buffer.from(`${type} ${size}\0`), content]));
  return { type, size, oid, content, at, base };
}

function refuseLarge(type: PackedObject['type'], start: Uint8Array, limits: PackLimits): void {
  if (type === 'delta' && resultSize(start) > limits.object) throw new TooLarge(resultSize(start), limits.object);
}

interface Head extends Pick<PackedObject, 'type' | 'size' | 'base' | 'at'> {
  /** Bytes of the head itself. */
  length: number;
}

/**
 * Type and size in 7-bit groups, the lowest four bits first; then what a delta is based on.
 * @param place where in the pack it begins. @returns null where it is cut
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

/** In one go: fast, where there are many small objects. */
async function inflateHeld(reader: Reader, inflater: Inflater, size: number): Promise<Buffer> {
  for (let want = 1; ; ) {
    const from = await reader.peek(want);
    const inflated = inflate(inflater, from, size);
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
  const inflate = zlib.createInflate({ chunkSize: 256 * 1024 });
  let total = 0;
  const dealt = pipeline(inflate, async (pieces: AsyncIterable<Uint8Array>) => {
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
      await Promise.race([new Promise((done) => inflate.write(chunk, done)), failed]);
      // What it does not read comes after the end of this object.
      over = given - inflate.bytesWritten;
      reader.skip(chunk.length - over);
    }
    inflate.end();
    await dealt;
  } catch (thrown) {
    inflate.destroy();
    await failed.catch(() => undefined);
    throw /^Z_/.test((thrown as NodeJS.ErrnoException).code ?? '') ? notInflated(thrown) : thrown;
  }
  if (total !== size) throw notInflated('smaller than announced');
}

/** The second number of a delta: how large its result is. */
export function resultSize(delta: Uint8Array): number {
  let at = 0;
  let size = 0;
  for (let number = 0; number < 2; number++) {
    size = 0;
    let byte = 0x80;
    for (let scale = 1; byte & 0x80; scale *= 128) {
      byte = delta[at++] ?? 0;
      size += (byte & 0x7f) * scale;
    }
  }
  return size;
}

interface Reader {
  /** All that is here and not skipped yet. */
  here(): Buffer;
  /** All that is here and not skipped yet: at least `bytes`, unless the pack ends before. */
  peek(bytes: number): Promise<Buffer>;
  skip(bytes: number): void;
  /** Bytes. */
  skipped(): number;
  /** Of all that came but the last twenty bytes. */
  hash(): string;
  close(): Promise<void>;
}

function createReader(pack: AsyncIterable<Uint8Array>, { limits, spool }: ScanOptions): Reader {
  const from = pack[Symbol.asyncIterator]();
  const hash = createHash('sha1');
  let here: Buffer = Buffer.alloc(0);
  /** What may be the checksum itself. */
  let last: Buffer = here;
  const note = (chunk: Buffer) => {
    const all = last.length === 0 ? chunk : Buffer.concat([last, chunk]);
    const end = Math.max(0, all.length - TRAILER);
    hash.update(all.subarray(0, end));
    last = all.subarray(end);
  };
  let size = 0;
  let skipped = 0;
  let ended = false;
  return {
    here: () => here,
    async peek(bytes) {
      while (here.length < bytes && !ended) {
        const { value, done } = await from.next();
        ended = done === true;
        if (ended) break;
        size += value.length;
        if (size > limits.pack) throw broken(`its pack is larger than ${Math.round(limits.pack / MIB)} MiB`);
        await spool?.(value);
        const chunk = Buffer.from(value.buffer, value.byteOffset, value.length);
        note(chunk);
        here = here.length === 0 ? chunk : Buffer.concat([here, chunk]);
      }
      return here;
    },
    skip(bytes) {
      skipped += bytes;
      here = here.subarray(bytes);
    },
    skipped: () => skipped,
    hash: () => hash.digest('hex'),
    close: async () => void (await from.return?.()),
  };
}

function inflate(inflater: Inflater, from: Buffer, size: number): Inflated | null {
  try {
    return inflater.inflate(from, size);
  } catch (cause) {
    throw notInflated(cause);
  }
}

const cut = () => broken('its pack was cut on the way');
const notInflated = (cause: unknown) =>
  broken(`its pack has an object that cannot be inflated (${cause instanceof Error ? cause.message : cause})`);
