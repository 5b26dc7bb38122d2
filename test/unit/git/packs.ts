/** Packs as a server would send them, and invalid ones. */
import { createHash } from 'node:crypto';
import zlib from 'node:zlib';
import type { Identified, ObjectType, Whole } from '../../../agent/git/pack/objects.ts';
import { unpack } from '../../../agent/git/pack/unpack.ts';
import type { PackLimits } from '../../../agent/git/wire/budget.ts';
import { packet } from '../../../agent/git/wire/packet.ts';

export interface Packed {
  /** The size in its header. */
  claims: number;
  content: Uint8Array;
  /** 3 is a blob, the default. */
  type?: number;
  /** For a delta: the id of its base. */
  base?: string;
}

export const blob = (text: string): Packed => ({ claims: text.length, content: Buffer.from(text) });

export function packOf(objects: readonly Packed[], said = objects.length): Buffer {
  const head = Buffer.alloc(12);
  head.write('PACK');
  head.writeUInt32BE(2, 4);
  head.writeUInt32BE(said, 8);
  const bodies = objects.map(({ claims, content, base, type = base === undefined ? 3 : 7 }) => {
    const bytes = [(type << 4) | (claims & 15)];
    for (let left = Math.floor(claims / 16); left > 0; left = Math.floor(left / 128)) {
      bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) | 0x80;
      bytes.push(left & 0x7f);
    }
    return Buffer.concat([Buffer.from(bytes), Buffer.from(base ?? '', 'hex'), zlib.deflateSync(content)]);
  });
  const body = Buffer.concat([head, ...bodies]);
  return Buffer.concat([body, createHash('sha1').update(body).digest()]);
}

/** A blob and this many deltas, each of which appends a letter to the result of the one before: a few bytes each. */
export function chainPack(first: Uint8Array, deltas: number): Buffer {
  const number = (n: number): number[] => (n < 128 ? [n] : [(n & 127) | 128, ...number(Math.floor(n / 128))]);
  const parts: Buffer[] = [];
  const place = () => 12 + parts.reduce((sum, part) => sum + part.length, 0);
  const put = (type: number, content: Uint8Array, back: number[] = []) => {
    const bytes = [(type << 4) | (content.length & 15)];
    for (let left = Math.floor(content.length / 16); left > 0; left = Math.floor(left / 128)) {
      bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) | 0x80;
      bytes.push(left & 0x7f);
    }
    parts.push(Buffer.concat([Buffer.from([...bytes, ...back]), zlib.deflateSync(content)]));
  };
  put(3, first);
  let before = 12;
  for (let n = 0; n < deltas; n++) {
    const size = first.length + n;
    const at = place();
    let distance = at - before;
    // Seven bits a byte, most significant first; each further byte implies one more (git's offset encoding).
    const back = [distance & 127];
    for (distance = Math.floor(distance / 128); distance > 0; distance = Math.floor(distance / 128))
      back.unshift(128 | (--distance & 127));
    const copies: number[] = [];
    for (let from = 0; from < size; from += 0xffffff) {
      const length = Math.min(0xffffff, size - from);
      copies.push(
        0xff,
        ...[0, 8, 16, 24].map((bits) => (from >>> bits) & 255),
        ...[0, 8, 16].map((bits) => (length >>> bits) & 255),
      );
    }
    put(6, Buffer.from([...number(size), ...number(size + 1), ...copies, 1, 66]), back);
    before = at;
  }
  const head = Buffer.from('PACK\0\0\0\x02\0\0\0\0', 'latin1');
  head.writeUInt32BE(deltas + 1, 8);
  const body = Buffer.concat([head, ...parts]);
  return Buffer.concat([body, createHash('sha1').update(body).digest()]);
}

/** The response to a fetch, with this pack. */
export const packAnswer = (pack: Uint8Array): Buffer =>
  Buffer.concat([packet('packfile\n'), ...bands(pack), Buffer.from('0000')]);

function bands(pack: Uint8Array): Buffer[] {
  const out: Buffer[] = [];
  for (let at = 0; at < pack.length; at += 60_000) {
    const part = pack.subarray(at, at + 60_000);
    out.push(Buffer.from(`${(part.length + 5).toString(16).padStart(4, '0')}\x01`), Buffer.from(part));
  }
  return out;
}

export const blobId = (content: Uint8Array): string =>
  createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex');

const CODES: Record<ObjectType, number> = { commit: 1, tree: 2, blob: 3, tag: 4 };
export const whole = ({ type, bytes }: Whole): Packed => ({
  claims: bytes.length,
  content: bytes,
  type: CODES[type],
});

/** `made` as a delta of `base`, which copies their common beginning. */
export function deltaOf(base: Identified, made: Uint8Array): Packed {
  let same = 0;
  while (same < Math.min(base.bytes.length, made.length, 0xffff) && base.bytes[same] === made[same]) same++;
  const number = (n: number): number[] => (n < 128 ? [n] : [(n & 127) | 128, ...number(n >> 7)]);
  const parts = [Buffer.from([...number(base.bytes.length), ...number(made.length)])];
  if (same > 0) parts.push(Buffer.from([0xb0, same & 255, same >> 8]));
  for (let at = same; at < made.length; at += 127) {
    const piece = made.subarray(at, at + 127);
    parts.push(Buffer.from([piece.length]), Buffer.from(piece));
  }
  const content = Buffer.concat(parts);
  return { claims: content.length, content, base: base.oid };
}

/** The bytes in chunks, as from a network. */
export async function* stream(...pieces: Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* pieces;
}

const MIB = 1024 * 1024;
export const LIMITS: PackLimits = { pack: 64 * MIB, object: 32 * MIB, objects: 10_000, made: 256 * MIB };

/** All objects of a pack, by their ids. */
export async function unpackAll(
  pack: AsyncIterable<Uint8Array>,
  options: { limits?: PackLimits; base?: (oid: string) => Whole | null } = {},
): Promise<Map<string, Whole>> {
  const objects = new Map<string, Whole>();
  let pieces: Uint8Array[] = [];
  await unpack(pack, {
    limits: options.limits ?? LIMITS,
    base: async (oid) => objects.get(oid) ?? options.base?.(oid) ?? null,
    object: async ({ oid, ...object }) => void objects.set(oid, object),
    piece: async (bytes) => void pieces.push(Buffer.from(bytes)),
    async large() {
      const bytes = Buffer.concat(pieces);
      pieces = [];
      objects.set(blobId(bytes), { type: 'blob', bytes });
    },
  });
  return objects;
}
