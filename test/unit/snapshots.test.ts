/** Snapshots survive a round trip, whatever the files, and an incomplete one is ignored. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import type { Checkout } from '../../agent/core/types.ts';
import { createSnapshots } from '../../agent/store/snapshots.ts';

const dir = mkdtempSync(path.join(os.tmpdir(), 'fairlead-snapshots-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const COMMIT = 'a'.repeat(40);
const checkoutOf = (files: ReadonlyMap<string, Uint8Array>): Checkout => ({
  info: { ref: 'main', commit: COMMIT, author: 'Ann', subject: 'x', committedAt: '', committer: 'Ann', signer: null },
  ...{ hostPath: 'hosts/edge-1', hostExists: true, files },
});
/** As another process would read it. */
const loaded = () => createSnapshots(dir).load(COMMIT);

test('a saved snapshot is loaded, with small and large files, and several names for the same bytes', async () => {
  const size = fc.oneof(fc.nat(50), fc.constantFrom(0, 700_000, 1024 * 1024, 2_500_000));
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(fc.string(), { maxLength: 8 }),
      fc.array(size, { minLength: 8, maxLength: 8 }),
      async (names, sizes) => {
        // biome-ignore format: one line
        const files = new Map(names.map((name, i) => [name, new Uint8Array(sizes[i] ?? 0).fill(i + 1)]));
        const first = [...files.values()][0];
        if (first) files.set('the same again', first);
        await createSnapshots(dir).save(checkoutOf(files));
        const back = await loaded();
        expect(back?.info).toEqual(checkoutOf(files).info);
        expect([...(back?.files.keys() ?? [])]).toEqual([...files.keys()]);
        for (const [name, bytes] of files) expect(Buffer.compare(bytes, back?.files.get(name) ?? Buffer.of(0))).toBe(0);
      },
    ),
    { numRuns: 25 },
  );
});

test('an incomplete snapshot, and one of an older format, are ignored', async () => {
  await createSnapshots(dir).save(checkoutOf(new Map([['f', new Uint8Array(3_000)]])));
  const file = path.join(dir, `${COMMIT}.snapshot`);
  const whole = readFileSync(file);
  for (const length of [0, 3, 4, 100, whole.length - 1]) {
    writeFileSync(file, whole.subarray(0, length));
    expect(await loaded(), `${length} bytes`).toBeNull();
  }
  writeFileSync(file, Buffer.concat([whole, Buffer.of(0)]));
  expect(await loaded()).toBeNull();
  writeFileSync(file, Buffer.from([0xff, 0x0f, 0x6f, 0x22, 0x00]));
  expect(await loaded()).toBeNull();
});
