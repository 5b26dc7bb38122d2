/** Deltas as git creates them, and invalid ones. */
import { execFileSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { applyDelta } from '../../../agent/git/pack/delta.ts';
import { git, scratch } from './backend.ts';
import { stream, unpackAll } from './packs.ts';

let root: string;
beforeAll(() => {
  root = scratch();
  git(root, 'init', '-q', '--bare');
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const store = (text: string): string => {
  writeFileSync(path.join(root, 'file'), text);
  return git(root, 'hash-object', '-w', 'file');
};

test.each([
  ['by place', ['--delta-base-offset']],
  ['by id', []],
])('what git packs as deltas, %s, is restored', async (_, options) => {
  const lines = Array.from({ length: 400 }, (_, i) => `line ${i} of a file that is like others ${(i * 7919) % 1000}\n`);
  const texts = [0, 1, 2, 3, 4].map((n) => lines.map((l, i) => (i % 97 === n ? `changed ${n}\n` : l)).join(''));
  texts.push(`${texts[2]}${texts[3]}`, texts[1]?.slice(5_000) ?? '');
  const ids = texts.map(store);
  const pack = execFileSync('git', ['pack-objects', '--stdout', '--window=50', ...options], {
    ...{ cwd: root, input: `${ids.join('\n')}\n`, stdio: ['pipe', 'pipe', 'ignore'] },
  });
  expect(pack.length).toBeLessThan(texts.join('').length / 5);
  const objects = await unpackAll(stream(pack));
  expect([...objects].map(([oid, { bytes }]) => [oid, Buffer.from(bytes).toString()]).sort()).toEqual(
    texts.map((text, at) => [ids[at], text]).sort(),
  );
});

test('any bytes as a delta either fit their base or are an error with a code', () => {
  const base = new Uint8Array(300).map((_, i) => i);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), fc.nat(400), (rest, size) => {
      const varint = (n: number) => (n < 128 ? [n] : [(n & 127) | 128, n >> 7]);
      const delta = Uint8Array.from([...varint(300), ...varint(size), ...rest]);
      try {
        expect(applyDelta(base, delta)).toHaveLength(size);
      } catch (thrown) {
        expect(thrown).toMatchObject({ code: 'ProtocolError', message: expect.stringContaining('does not fit') });
      }
    }),
    { numRuns: 2_000 },
  );
  // Longer than announced, shorter, copying beyond its base, for another base, and empty.
  for (const bad of [
    [172, 2, 1, 2, 65, 66],
    [172, 2, 3, 1, 65],
    [172, 2, 9, 0x91, 250, 60],
    [10, 1, 1, 65],
    [172, 2, 1, 0],
    [],
  ])
    expect(() => applyDelta(base, Uint8Array.from(bad))).toThrow(/does not fit/);
});
