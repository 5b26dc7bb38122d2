/** A repository on this machine is read in place: objects with a file of their own, and those in packs. */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import zlib from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { DamagedObject, idOf, MissingObject, OversizedObject } from '../../../agent/git/pack/objects.ts';
import { openLocal } from '../../../agent/git/store/local.ts';
import { readLoose } from '../../../agent/git/store/loose.ts';
import { scratch } from './backend.ts';

let root: string;
let repo: string;
let count = 0;
beforeAll(() => {
  root = scratch();
});
beforeEach(() => {
  repo = path.join(root, `repo-${count++}`);
  execFileSync('git', ['init', '-q', repo]);
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** @param input only for a command that reads it: a write to one that has ended fails */
const git = (args: readonly string[], input?: string | Buffer): string =>
  execFileSync('git', ['-C', repo, '-c', 'user.name=a', '-c', 'user.email=a@b', ...args], {
    ...(input === undefined ? { stdio: ['ignore', 'pipe', 'inherit'] } : { input }),
  })
    .toString()
    .trim();
const blob = (content: string | Buffer): string => git(['hash-object', '-w', '--stdin'], content);
const gitdir = () => path.join(repo, '.git');
const fileOf = (oid: string) => path.join(gitdir(), 'objects', oid.slice(0, 2), oid.slice(2));
const replace = (oid: string, bytes: Buffer) => {
  mkdirSync(path.dirname(fileOf(oid)), { recursive: true });
  rmSync(fileOf(oid), { force: true });
  writeFileSync(fileOf(oid), bytes);
  chmodSync(fileOf(oid), 0o444);
};

const CONTENTS: [string, Buffer][] = [
  ['an empty object', Buffer.alloc(0)],
  ['a short object', Buffer.from('a\n')],
  ['an object with NUL characters', Buffer.from([0, 0, 1, 0])],
  ['an object of several chunks', Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7_919) % 251))],
];

describe.each(CONTENTS)('%s', (_, content) => {
  test('is read the same in a file of its own and in a pack', async () => {
    const oid = blob(content);
    const tree = git(['mktree'], `100644 blob ${oid}\tf\n`);
    const commit = git(['commit-tree', '-m', 'x', tree]);
    const loose = await openLocal(repo).objects();
    expect([await loose.has(oid), Buffer.from(await loose.read(oid, 'blob'))]).toEqual([true, content]);
    expect(Buffer.from(await loose.read(commit, 'commit')).toString()).toMatch(/^tree [0-9a-f]{40}\n/);
    git(['pack-objects', '-q', path.join(gitdir(), 'objects/pack/pack')], `${oid}\n${commit}\n`);
    git(['prune-packed', '-q']);
    const packed = await openLocal(repo).objects();
    expect([await packed.has(oid), Buffer.from(await packed.read(oid, 'blob'))]).toEqual([true, content]);
  });
});

test.each(['a'.repeat(40), '', 'a', 'pack', '../HEAD', '../'])(
  'an object that does not exist is missing: "%s"',
  async (oid) => {
    const objects = await openLocal(repo).objects();
    expect([await objects.has(oid), await objects.lacking([oid])]).toEqual([false, [oid]]);
    await expect(objects.read(oid, 'blob')).rejects.toThrow(MissingObject);
  },
);

const whole = Buffer.from('blob 5\0hello');
const DAMAGE: [string, Buffer][] = [
  ['is not compressed', whole],
  ['is cut short', zlib.deflateSync(whole).subarray(0, 10)],
  ['is smaller than its size', zlib.deflateSync(whole.subarray(0, -1))],
  ['is larger than its size', zlib.deflateSync(Buffer.concat([whole, Buffer.from('!')]))],
  ['has no size', zlib.deflateSync(Buffer.from('blob x\0hello'))],
  ['has a head without an end', zlib.deflateSync(Buffer.from('b'.repeat(100)))],
  ['has an empty file', Buffer.alloc(0)],
  ['has another content', zlib.deflateSync(Buffer.from('blob 5\0hullo'))],
];

test.each(DAMAGE)('an object that %s is damaged', async (_, bytes) => {
  const oid = idOf({ type: 'blob', bytes: Buffer.from('hello') });
  replace(oid, bytes);
  const objects = await openLocal(repo).objects();
  await expect(objects.read(oid, 'blob')).rejects.toThrow(DamagedObject);
});

test('an object beyond the limit is refused by its size, before it is inflated', async () => {
  const oid = blob(Buffer.alloc(2_000_000));
  await expect(readLoose(gitdir(), oid, 1_999_999)).rejects.toThrow(OversizedObject);
  expect((await readLoose(gitdir(), oid, 2_000_000))?.bytes.length).toBe(2_000_000);
});
