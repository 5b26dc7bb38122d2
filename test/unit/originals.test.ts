/** Copies of what repairs overwrite, on a real file system, below a temporary root. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createOriginals } from '../../agent/kinds/file/act/originals.ts';
import { createFileProvider } from '../../agent/kinds/file/provider.ts';
import { systemClock } from '../../agent/system/clock.ts';
import { exec } from '../../agent/system/exec.ts';
import { createFiles } from '../../agent/system/files/files.ts';

let root: string;
beforeEach(() => {
  root = fs.mkdtempSync(path.join(os.tmpdir(), 'fairlead-originals-'));
});
afterEach(() => fs.rmSync(root, { recursive: true }));

test('concurrent repairs each keep what they overwrite, on a host without any copies yet', async () => {
  const files = createFiles({ root });
  const originals = createOriginals({ files, dir: '/kept' });
  const names = ['/a', '/b', '/c'];
  for (const name of names) fs.writeFileSync(root + name, `somebody's ${name}`);
  const kept = await Promise.all(names.map((name) => originals.keepDrift(name)));
  expect(kept.map((place) => fs.readFileSync(root + place, 'utf8'))).toEqual(names.map((name) => `somebody's ${name}`));
  expect(fs.statSync(`${root}/kept`).mode & 0o777).toBe(0o700);
});

test('a stop during removals leaves the restorations for the next run; plain removals are quick', async () => {
  const files = createFiles({ root });
  const originals = createOriginals({ files, dir: '/kept' });
  const options = { execRoot: root, stagingDir: '/staging', clock: systemClock, ownership: false };
  const { remove } = createFileProvider({ files, originals, exec, ...options });
  for (const name of ['/a', '/b']) {
    fs.writeFileSync(root + name, 'theirs');
    await originals.keep(`file:${name}`, [name]);
  }
  for (const name of ['/a', '/b', '/c']) fs.writeFileSync(root + name, 'ours');
  const fact = { type: 'file', mode: 0o644, owner: 'root', group: 'root', uid: 0, gid: 0, size: 4, links: 1 } as const;
  const gone = ['/c', '/b', '/a'].map((name) => ({ id: `file:${name}` as const, seen: { fact } }));
  const contents = () =>
    Object.fromEntries(
      fs
        .readdirSync(root)
        .filter((n) => n !== 'kept')
        .map((n) => [n, fs.readFileSync(`${root}/${n}`, 'utf8')]),
    );
  const failures = await remove(gone, AbortSignal.abort());
  expect([...failures].map(([id, { code, retry }]) => [id, code, retry])).toEqual([
    ['file:/b', 'Stopped', true],
    ['file:/a', 'Stopped', true],
  ]);
  expect(contents()).toEqual({ a: 'ours', b: 'ours' });
  expect(await remove(gone, new AbortController().signal)).toEqual(new Map());
  expect(contents()).toEqual({ a: 'theirs', b: 'theirs' });
});
