/** Deltas as git itself makes them, and as it would not. */
import { execFileSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { applyDelta, resolveDeltas } from '../../../agent/git/delta.ts';
import { type PackedObject, scanPack } from '../../../agent/git/pack.ts';
import { git, scratch } from './backend.ts';

let root: string;
beforeAll(() => {
  root = scratch();
  git(root, 'init', '-q', '--bare');
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const MIB = 1024 * 1024;
const store = (text: string): string => {
  writeFileSync(path.join(root, 'file'), text);
  return git(root, 'hash-object', '-w', 'file');
};

/** A pack of these objects, with deltas by their place in it, or by the ids of what they are based on. */
async function packed(ids: readonly string[], ...options: string[]): Promise<PackedObject[]> {
  const pack = execFileSync('git', ['pack-objects', '--stdout', '--window=50', ...options], {
    ...{ cwd: root, input: `${ids.join('\n')}\n`, stdio: ['pipe', 'pipe', 'ignore'] },
  });
  const objects: PackedObject[] = [];
  const found = (object: PackedObject) => void objects.push(object);
  await scanPack(
    (async function* () {
      yield pack;
    })(),
    { limits: { pack: MIB, object: MIB }, hold: MIB, found },
  );
  return objects;
}

test.each([
  ['by place', ['--delta-base-offset']],
  ['by id', []],
])('what git packs as deltas, %s, comes out again', async (_, options) => {
  const lines = Array.from({ length: 400 }, (_, i) => `line ${i} of a file that is like others ${(i * 7919) % 1000}\n`);
  const texts = [0, 1, 2, 3, 4].map((n) => lines.map((l, i) => (i % 97 === n ? `changed ${n}\n` : l)).join(''));
  texts.push(`${texts[2]}${texts[3]}`, texts[1]?.slice(5_000) ?? '');
  const ids = texts.map(store);
  const objects = await packed(ids, ...options);
  expect(objects.filter((o) => o.type === 'delta').length).toBeGreaterThan(2);
  const held = new Map(
    objects.flatMap((o) => (o.oid && o.content ? [[o.oid, { type: o.type, bytes: o.content }]] : [])),
  );
  const find = async (oid: string) => held.get(oid) ?? null;
  let made = await resolveDeltas(objects, find, MIB);
  // A base named by its id may be a delta itself.
  for (let round = 0; round < 9 && options.length === 0; round++) {
    for (const { oid, type, bytes } of made.values())
      held.set(oid, { type: type as PackedObject['type'], bytes: Buffer.from(bytes) });
    made = await resolveDeltas(objects, find, MIB);
  }
  expect([...objects.flatMap((o) => o.oid ?? []), ...[...made.values()].map((o) => o.oid)].sort()).toEqual(
    [...new Set(ids)].sort(),
  );
  for (const { oid, bytes } of made.values()) expect(Buffer.from(bytes).toString()).toBe(texts[ids.indexOf(oid)]);
  expect((await resolveDeltas(objects, find, 100)).size).toBe(0);
  expect(
    (
      await resolveDeltas(
        objects.map((o) => ({ ...o, content: null })),
        find,
        MIB,
      )
    ).size,
  ).toBe(0);
});

test('whatever bytes a delta has, they fit their base or are an error with a code', () => {
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
  // Longer than it says, shorter, from beyond its base, of another base, and nothing at all.
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
