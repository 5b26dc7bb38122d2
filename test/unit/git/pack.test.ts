/**
 * Packs in chunks of any size, as a network delivers them: small objects are kept, large ones are streamed, and lies are
 * detected.
 */
import zlib from 'node:zlib';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type PackedObject, scanPack } from '../../../agent/git/pack/pack.ts';
import { createBudget } from '../../../agent/git/wire/budget.ts';
import { blobId, packOf, unpackAll } from './packs.ts';
import { failure } from './pull.ts';

const MIB = 1024 * 1024;
const limits = { pack: 64 * MIB, object: 32 * MIB, objects: 100, made: 64 * MIB };

async function* pieces(bytes: Uint8Array, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  let at = 0;
  for (let i = 0; at < bytes.length; i++) {
    const size = sizes.length > 0 ? (sizes[i % sizes.length] ?? 1) : bytes.length;
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

async function scan(pack: Uint8Array, hold: number, sizes: readonly number[] = []) {
  const objects: PackedObject[] = [];
  const sunk: Uint8Array[] = [];
  const into = (list: Uint8Array[]) => async (bytes: Uint8Array) => void list.push(Buffer.from(bytes));
  const found = (o: PackedObject) => void objects.push(o);
  await scanPack(pieces(pack, sizes), { limits, budget: createBudget(limits.made), hold, sink: into(sunk), found });
  return { objects, sunk: Buffer.concat(sunk) };
}

test('with any chunks, all objects are found with their ids, in memory or through the sink', async () => {
  const content = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    // Compresses well: far fewer bytes on the wire than inflated.
    fc.integer({ min: 0, max: 300_000 }).map((n) => new Uint8Array(n).fill(n & 255)),
  );
  const sizes = fc.array(fc.integer({ min: 1, max: 5_000 }), { maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(fc.array(content, { maxLength: 6 }), fc.nat(1_000), sizes, async (contents, hold, cuts) => {
      const pack = packOf(contents.map((c) => ({ claims: c.length, content: c })));
      const { objects, sunk } = await scan(pack, hold, cuts);
      expect(objects.map((o) => [o.type, o.size, o.oid])).toEqual(contents.map((c) => ['blob', c.length, blobId(c)]));
      expect(objects.map((o) => o.content?.length ?? null)).toEqual(
        contents.map((c) => (c.length <= hold ? c.length : null)),
      );
      expect(sunk.equals(Buffer.concat(contents.filter((c) => c.length > hold)))).toBe(true);
    }),
    { numRuns: 60 },
  );
});

test('a pack that is truncated or changed anywhere is an error, whichever objects were streamed', async () => {
  const pack = packOf([3, 40_000].map((n) => ({ claims: n, content: new Uint8Array(n).map((_, i) => (i * 7) ^ n) })));
  const at = fc.nat(pack.length - 1);
  await fc.assert(
    fc.asyncProperty(at, fc.integer({ min: 1, max: 255 }), fc.constantFrom(0, MIB), async (n, flip, hold) => {
      expect(await failure(scan(pack.subarray(0, n), hold, [900]))).toMatch(/^ProtocolError/);
      const changed = Buffer.from(pack);
      changed[n] = (changed[n] ?? 0) ^ flip;
      expect(await failure(scan(changed, hold, [900]))).toMatch(/^(ProtocolError|FetchOverBudget)/);
    }),
    { numRuns: 150 },
  );
});

test('an object that inflates to more than its announced size is refused at that point', async () => {
  const bomb = packOf([{ claims: 2 * MIB, content: Buffer.alloc(30 * MIB) }]);
  let came = 0;
  const sink = async (bytes: Uint8Array) => {
    came += bytes.length;
  };
  const scanned = scanPack(pieces(bomb, []), {
    limits,
    budget: createBudget(limits.made),
    hold: 0,
    sink,
    found: () => undefined,
  });
  expect(await failure(scanned)).toMatch(/cannot be inflated \(larger than announced\)/);
  expect(came).toBeLessThanOrEqual(2 * MIB);
  const few = packOf([{ claims: 2 * MIB, content: Buffer.alloc(10) }]);
  expect(await failure(scan(few, 0))).toMatch(/cannot be inflated \(smaller than announced\)/);
});

test('a delta whose result is too large is refused, whatever the chunks of its sizes', async () => {
  const number = (n: number): number[] => (n < 128 ? [n] : [(n % 128) | 0x80, ...number(Math.floor(n / 128))]);
  const delta = Buffer.from([...number(10), ...number(5e9), ...Array.from({ length: 1_000 }, () => 1)]);
  /** A stored block (RFC 1951, 3.2.4). */
  const stored = (bytes: Uint8Array, isLast: boolean) => {
    const block = Buffer.from([Number(isLast), 0, 0, 0, 0, ...bytes]);
    block.writeUInt16LE(bytes.length, 1);
    block.writeUInt16LE(0xffff - bytes.length, 3);
    return block;
  };
  const none = Array.from({ length: 14 }, () => stored(Buffer.alloc(0), false));
  const first = Buffer.concat([Buffer.from([0x78, 0x01]), ...none, stored(delta.subarray(0, 1), false)]);
  const rest = Buffer.concat([stored(delta.subarray(1), true), zlib.deflateSync(delta).subarray(-4)]);
  // Type 7, and its size; the id of its base.
  const size = [0xf0 | (delta.length & 15), delta.length >> 4];
  const head = Buffer.concat([packOf([]).subarray(0, 12), Buffer.from(size), Buffer.alloc(20, 7)]);
  head.writeUInt32BE(1, 8);
  async function* slowly() {
    yield Buffer.concat([head, first]);
    yield Buffer.concat([rest, Buffer.alloc(20)]);
  }
  expect(await failure(unpackAll(slowly(), { limits: { ...limits, object: MIB } }))).toMatch(
    /an object of 4769 MiB; 1 MiB are the limit/,
  );
});
