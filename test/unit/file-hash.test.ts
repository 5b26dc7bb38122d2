/** What is read again of files, and what is remembered: real files, a clock that is set. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createFileHashes } from '../../agent/kinds/file-hash.ts';
import { createFiles } from '../../agent/system/files.ts';

let root: string;
let now: number;
let look: ReturnType<typeof createFileHashes>;
let read: string[];

const HOUR = 3_600_000;
const sha256 = () => {
  const stat = seen();
  return stat === undefined || stat instanceof Error ? undefined : stat.sha256;
};
const seen = () =>
  look(['/a'], (file) => {
    read.push(file);
    return true;
  }).get('/a');
const put = (text: string, mtime = 1_000) => {
  fs.writeFileSync(`${root}/a`, text);
  fs.utimesSync(`${root}/a`, mtime, mtime);
};

beforeEach(() => {
  root = fs.mkdtempSync(path.join(os.tmpdir(), 'fairlead-hash-'));
  now = Date.now() + HOUR;
  read = [];
  look = createFileHashes({ files: createFiles({ root }), clock: { now: () => new Date(now) } });
});
afterEach(() => fs.rmSync(root, { recursive: true }));

test('what stat finds unchanged is not read again, and is the very same answer', () => {
  put('one');
  const first = seen();
  expect(seen()).toBe(first);
  expect(read).toEqual(['/a']);
});

test('another content, mode or file of the same name is another answer', () => {
  put('one');
  const first = sha256();
  put('two');
  const second = sha256();
  expect(second).not.toBe(first);
  fs.chmodSync(`${root}/a`, 0o600);
  expect(seen()).toMatchObject({ mode: 0o600, sha256: second });
  fs.writeFileSync(`${root}/b`, 'six');
  fs.utimesSync(`${root}/b`, 1_000, 1_000);
  fs.renameSync(`${root}/b`, `${root}/a`);
  expect(sha256()).not.toBe(second);
});

test('a file that was changed just now is read each time, and so is all once an hour or after a clock was set back', () => {
  put('one');
  now = Date.now();
  seen();
  seen();
  expect(read).toHaveLength(2);
  now += HOUR;
  seen();
  now += HOUR - 1;
  seen();
  expect(read).toHaveLength(3);
  now += 1;
  seen();
  expect(read).toHaveLength(4);
  now -= 1;
  seen();
  expect(read).toHaveLength(5);
});

test('a file that cannot be read has no hash, whatever it was known by', () => {
  put('one');
  seen();
  now += HOUR;
  // Gone between the look and the reading.
  const answer = look(['/a'], () => {
    fs.rmSync(`${root}/a`);
    fs.mkdirSync(`${root}/a`);
    return true;
  }).get('/a');
  expect(answer).toMatchObject({ type: 'file' });
  expect(answer).not.toHaveProperty('sha256');
});
