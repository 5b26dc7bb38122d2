/** Stored files among others: their bytes are read on demand, and always verified. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { contentOf, createPayload, overlay, StoredFile, sizeOf } from '../../agent/core/payload/payload.ts';
import type { Checkout } from '../../agent/core/types.ts';
import type { FileSpec } from '../../agent/kinds/file/spec.ts';
import { createSnapshots } from '../../agent/store/snapshots.ts';
import { createFiles } from '../../agent/system/files/files.ts';
import { checkoutOf, loadCheckout, sha256 } from './repo.ts';

const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'fairlead-payload-'));
afterAll(() => fs.rmSync(dir, { recursive: true, force: true }));
const bytes = new Uint8Array(1_500_000).map((_, i) => i % 251);
const kept = path.join(dir, 'kept');
const file = new StoredFile(kept, bytes.length, sha256(bytes));
let reads = 0;
const reading = {
  read(at: string) {
    reads++;
    return fs.existsSync(at) ? fs.readFileSync(at) : null;
  },
  sha256,
};
const payload = () =>
  createPayload(
    new Map<string, Uint8Array | StoredFile>([
      ['small', new Uint8Array([1])],
      ['large', file],
    ]),
    reading,
  );
beforeAll(() => fs.writeFileSync(kept, bytes));

test("bytes are read on demand, by every accessor, and the file's name needs no read", () => {
  reads = 0;
  const files = payload();
  expect(contentOf(files, 'large')).toBe(file);
  expect([sizeOf(file), [...files.keys()], files.size, files.has('large'), files.get('none')]).toEqual([
    ...[1_500_000, ['small', 'large'], 2, true, undefined],
  ]);
  expect(reads).toBe(0);
  const all = [files.get('large'), [...files][1]?.[1], [...files.values()][1], [...files.entries()][1]?.[1]];
  files.forEach((one, name) => void (name === 'large' && all.push(one)));
  expect(all.map((one) => Buffer.compare(one ?? Buffer.of(), bytes))).toEqual([0, 0, 0, 0, 0]);
  expect(contentOf(overlay(new Map([['large', new Uint8Array([2])]]), files), 'large')).toEqual(new Uint8Array([2]));
  expect(contentOf(overlay(new Map(), files), 'large')).toBe(file);
});

test('a file that changed is an error, when it is read and when it is written', async () => {
  const other = path.join(dir, 'other');
  const damaged = new StoredFile(other, bytes.length, file.sha256);
  const files = createFiles({ root: path.join(dir, 'root') });
  fs.mkdirSync(path.join(dir, 'root'));
  const meta = { mode: 0o600, uid: -1, gid: -1 };
  for (const harm of [bytes.with(7, 0xff), bytes.subarray(1), null]) {
    if (harm) fs.writeFileSync(other, harm);
    const one = createPayload(new Map([['large', damaged]]), reading);
    expect(() => one.get('large')).toThrow(
      /holds a large file of the repository, is missing or damaged; it is fetched again/,
    );
    await expect(files.write('/etc/large', damaged, meta)).rejects.toMatchObject({
      code: 'PayloadDamaged',
      retry: true,
    });
    expect(fs.existsSync(other)).toBe(false);
    expect(files.list('/etc')).toEqual([]);
  }
  // One of two places is enough.
  fs.writeFileSync(other, bytes.with(7, 0xff));
  const twice = new StoredFile(kept, file.size, file.sha256);
  twice.keptAt(other);
  expect(twice.places).toEqual([other, kept]);
  expect(createPayload(new Map([['large', twice]]), reading).get('large')).toHaveLength(bytes.length);
  await files.write('/etc/large', twice, meta);
  expect(Buffer.compare(files.read('/etc/large'), bytes)).toBe(0);
  expect(fs.existsSync(kept)).toBe(true);
});

test('a host renders the same whether its files are in memory or stored', async () => {
  const manifest = `services: {web: {image: x, volumes: ["./data/large:/large:ro", "./data:/data"]}}
files:
  /etc/one: {source: data/large}
  /etc/tree: {source: data}
`;
  const repo = { 'hosts/a/m.yaml': manifest, 'hosts/a/data/large': bytes };
  const held = checkoutOf(repo);
  const files = new Map<string, Uint8Array | StoredFile>(held.files).set('hosts/a/data/large', file);
  const stored: Checkout = { ...held, files: createPayload(files, reading) };
  reads = 0;
  const [a, b] = [await loadCheckout(held), await loadCheckout(stored)];
  expect(reads).toBe(0);
  expect(b.issues).toEqual(a.issues);
  expect(b.resources.map((r) => [r.id, r.hash])).toEqual(a.resources.map((r) => [r.id, r.hash]));
  const named = b.resources.filter((r) => (r.spec as FileSpec).content === file).map((r) => r.id);
  expect(named).toContain('file:/etc/one');
  expect(named).toContain('file:/etc/tree/large');
});

test('a snapshot links stored files, and is invalid without them', async () => {
  const at = path.join(dir, 'accepted');
  const first = { ...checkoutOf({}), files: payload() };
  await createSnapshots(at).save(first);
  const { commit } = first.info;
  const link = path.join(at, `${commit}.large`, file.sha256);
  expect(fs.statSync(link).ino).toBe(fs.statSync(kept).ino);
  const back = await createSnapshots(at).load(commit);
  expect(back?.files.stored?.('large')).toEqual(new StoredFile(link, file.size, file.sha256));
  expect(first.files.stored?.('large')?.places).toEqual([link, kept]);
  expect([...(back?.files.get('small') ?? [])]).toEqual([1]);
  // A loaded snapshot can be saved again, over itself and as another commit.
  const again = { ...first, ...back, info: { ...first.info, commit: '2'.repeat(40) } } as Checkout;
  await createSnapshots(at).save(back as Checkout);
  await createSnapshots(at).save(again);
  expect(fs.statSync(path.join(at, `${again.info.commit}.large`, file.sha256)).nlink).toBe(3);
  await createSnapshots(at).retain([again.info.commit]);
  expect(fs.readdirSync(at).sort()).toEqual([`${again.info.commit}.large`, `${again.info.commit}.snapshot`]);
  fs.truncateSync(path.join(at, `${again.info.commit}.large`, file.sha256), 5);
  expect(await createSnapshots(at).load(again.info.commit)).toBeNull();
  fs.writeFileSync(kept, bytes);
});
