/** What repairs overwrite is kept on a real file system, below a temporary root. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createOriginals } from '../../agent/kinds/originals.ts';
import { createFiles } from '../../agent/system/files.ts';

let root: string;
beforeEach(() => {
  root = fs.mkdtempSync(path.join(os.tmpdir(), 'fairlead-originals-'));
});
afterEach(() => fs.rmSync(root, { recursive: true }));

test('repairs side by side each keep what they overwrite, on a host that has kept nothing yet', async () => {
  const files = createFiles({ root });
  const originals = createOriginals({ files, dir: '/kept' });
  const names = ['/a', '/b', '/c'];
  for (const name of names) fs.writeFileSync(root + name, `somebody's ${name}`);
  const kept = await Promise.all(names.map((name) => originals.keepDrift(name)));
  expect(kept.map((place) => fs.readFileSync(root + place, 'utf8'))).toEqual(names.map((name) => `somebody's ${name}`));
  expect(fs.statSync(`${root}/kept`).mode & 0o777).toBe(0o700);
});
