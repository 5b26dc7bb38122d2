/** Which files are read again, and which hashes are remembered: real files, and a clock that is set. */
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createFileHashes, type FileHashes } from '../../agent/kinds/file/look/hash.ts';
import { createFiles } from '../../agent/system/files/files.ts';

let root: string;
let now: number;
let hashes: FileHashes;
let read: string[];

const HOUR = 3_600_000;
const sha256 = () => {
  const stat = seen();
  return stat === undefined || stat instanceof Error ? undefined : stat.sha256;
};
const seen = () =>
  hashes
    .look(['/a'], (file) => {
      read.push(file);
      return true;
    })
    .get('/a');
const put = (text: string, mtime = 1_000) => {
  fs.writeFileSync(`${root}/a`, text);
  fs.utimesSync(`${root}/a`, mtime, mtime);
};

beforeEach(() => {
  root = fs.mkdtempSync(path.join(os.tmpdir(), 'fairlead-hash-'));
  now = Date.now() + HOUR;
  read = [];
  hashes = createFileHashes({ files: createFiles({ root }), clock: { now: () => new Date(now) } });
});
afterEach(() => fs.rmSync(root, { recursive: true }));

test('a file whose stat is unchanged is not read again, and the result is the same object', () => {
  put('one');
  const first = seen();
  expect(seen()).toBe(first);
  expect(read).toEqual(['/a']);
});

test('another content, mode or file of the same name is another result', () => {
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

test('a file that was changed just now is read each time, and every file once an hour or after a clock was set back', () => {
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

test('an unreadable file has no hash, even if it had one before', () => {
  put('one');
  seen();
  now += HOUR;
  // Deleted between stat and read.
  const answer = hashes
    .look(['/a'], () => {
      fs.rmSync(`${root}/a`);
      fs.mkdirSync(`${root}/a`);
      return true;
    })
    .get('/a');
  expect(answer).toMatchObject({ type: 'file' });
  expect(answer).not.toHaveProperty('sha256');
});

describe('a file that this process wrote', () => {
  const META = { mode: 0o644, uid: -1, gid: -1 };
  const DIGEST = 'f'.repeat(64);
  const own = (trustOwn = true) => hashes.look(['/a'], () => true, trustOwn).get('/a');
  beforeEach(async () => {
    const stat = await createFiles({ root }).write('/a', Buffer.from('one'), META);
    hashes.wrote('/a', { ...stat, sha256: DIGEST });
  });

  test('is not read at the next observation, and is at every later one', () => {
    expect(own()).toMatchObject({ type: 'file', size: 3, mode: 0o644, sha256: DIGEST });
    expect(own()).not.toMatchObject({ sha256: DIGEST });
  });

  test('is read by an observation that has to be certain', () => {
    expect(own(false)).not.toMatchObject({ sha256: DIGEST });
    expect(own()).not.toMatchObject({ sha256: DIGEST });
  });

  test.each([
    ['written to', () => fs.writeFileSync(`${root}/a`, 'two')],
    [
      'replaced',
      () => {
        fs.writeFileSync(`${root}/b`, 'two');
        fs.renameSync(`${root}/b`, `${root}/a`);
      },
    ],
  ])('is read if it was %s meanwhile', (_how, act) => {
    const before = fs.statSync(`${root}/a`).mtimeMs;
    do act();
    while (fs.statSync(`${root}/a`).mtimeMs === before);
    expect(own()).toMatchObject({ sha256: createHash('sha256').update('two').digest('hex') });
  });
});
