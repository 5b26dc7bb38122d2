/** Streams of zlib, one after the other, in every state in which a server can send them. */
import zlib from 'node:zlib';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { inflate } from '../../../agent/git/pack/inflate.ts';

/** The result: one word if it is no content. */
function outcome(from: Buffer, size: number): unknown {
  try {
    const found = inflate(from, size);
    return found === null ? 'more' : { content: found.content.toString('hex'), read: found.read };
  } catch {
    return 'wrong';
  }
}

test('a stream is complete, truncated, damaged, or of another size than announced', () => {
  const stream = fc.record({
    content: fc.oneof(fc.uint8Array({ maxLength: 3000 }), fc.string({ maxLength: 40 }).map((s) => Buffer.from(s.repeat(100)))), // biome-ignore format: one line
    after: fc.uint8Array({ maxLength: 20 }),
    harm: fc.constantFrom('none', 'none', 'cut', 'damage', 'larger', 'smaller'),
    at: fc.double({ min: 0, max: 0.999, noNaN: true }),
  });
  fc.assert(
    fc.property(stream, ({ content, after, harm, at }) => {
      const packed = zlib.deflateSync(content);
      const place = Math.floor(at * packed.length);
      if (harm === 'damage') packed[place] = (packed[place] ?? 0) ^ 0x55;
      const from = harm === 'cut' ? packed.subarray(0, place) : Buffer.concat([packed, after]);
      const size = Math.max(0, content.length + (harm === 'larger' ? 1 : harm === 'smaller' ? -1 : 0));
      const found = outcome(from, size);
      if (harm === 'none')
        expect(found).toEqual({ content: Buffer.from(content).toString('hex'), read: packed.length });
      if (harm === 'cut') expect(found).toBe('more');
      if (harm === 'larger' || (harm === 'smaller' && content.length > 0)) expect(found).toBe('wrong');
    }),
    { numRuns: 1_000 },
  );
});
