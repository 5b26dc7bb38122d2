import zlib from 'node:zlib';
import fc from 'fast-check';
import { afterEach, expect, test, vi } from 'vitest';
import { createInflater, type Inflater } from '../../../agent/git/inflate.ts';

afterEach(() => {
  vi.restoreAllMocks();
});

/** What came of it, in one word where it is no content. */
function outcome(inflater: Inflater, from: Buffer, size: number): unknown {
  try {
    const found = inflater.inflate(from, size);
    return found === null ? 'more' : { content: found.content.toString('hex'), read: found.read };
  } catch {
    return 'wrong';
  }
}

test('one after the other, whole, cut, damaged or of another size than announced: both ways say the same', () => {
  const [quick, slow] = [createInflater(), createInflater(() => null)];
  const stream = fc.record({
    content: fc.oneof(fc.uint8Array({ maxLength: 3000 }), fc.string({ maxLength: 40 }).map((s) => Buffer.from(s.repeat(100)))), // biome-ignore format: one line
    after: fc.uint8Array({ maxLength: 20 }),
    harm: fc.constantFrom('none', 'none', 'cut', 'damage', 'larger', 'smaller'),
    at: fc.double({ min: 0, max: 0.999, noNaN: true }),
  });
  fc.assert(
    fc.property(fc.array(stream, { minLength: 1, maxLength: 8 }), (streams) => {
      for (const { content, after, harm, at } of streams) {
        const packed = zlib.deflateSync(content);
        const place = Math.floor(at * packed.length);
        if (harm === 'damage') packed[place] = (packed[place] ?? 0) ^ 0x55;
        const from = harm === 'cut' ? packed.subarray(0, place) : Buffer.concat([packed, after]);
        const size = Math.max(0, content.length + (harm === 'larger' ? 1 : harm === 'smaller' ? -1 : 0));
        const found = outcome(quick, from, size);
        expect(found).toEqual(outcome(slow, from, size));
        const whole = { content: Buffer.from(content).toString('hex'), read: packed.length };
        if (harm === 'none') expect(found).toEqual(whole);
        if (harm === 'cut') expect(found).toBe('more');
      }
    }),
    { numRuns: 300 },
  );
  quick.close();
  slow.close();
});

test('this Node has the engine: nothing that is right goes the slow way', () => {
  const slow = vi.spyOn(zlib, 'inflateSync');
  const inflater = createInflater();
  for (const size of [0, 1, 300, 5_000]) {
    const content = Buffer.alloc(size, 'x');
    expect(outcome(inflater, zlib.deflateSync(content), size)).toMatchObject({ content: content.toString('hex') });
  }
  expect(slow).not.toHaveBeenCalled();
  inflater.close();
});
