/** A file system that is mounted read only, as root can. */
import { rmSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeDirectories } from '../../agent/directories.ts';
import { run } from '../lab/run.ts';
import { inMemory } from '../scratch.ts';

let dir: string;
beforeAll(async () => {
  dir = inMemory('read-only');
  await run(['mount', '-t', 'tmpfs', '-o', 'ro', 'tmpfs', dir]);
});
afterAll(async () => {
  await run(['umount', dir]);
  rmSync(dir, { recursive: true });
});

test('a directory on it cannot be created because the file system is read only, however deep it is', async () => {
  for (const name of ['a', 'a/b/c'])
    await expect(makeDirectories(path.join(dir, name))).rejects.toMatchObject({ code: 'EROFS' });
});

test('a directory that is there need not be created', async () => {
  await makeDirectories(dir);
});
