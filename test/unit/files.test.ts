/** Writing on a real file system, below a temporary root. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { AgentError } from '../../agent/errors.ts';
import { createFiles, type Files } from '../../agent/system/files.ts';

let root: string;
let files: Files;
const meta = { mode: 0o640, uid: -1, gid: -1 };
const bytes = (text: string) => new TextEncoder().encode(text);

beforeEach(() => {
  root = fs.mkdtempSync(path.join(os.tmpdir(), 'fairlead-files-'));
  files = createFiles({ root });
});
afterEach(() => fs.rmSync(root, { recursive: true }));

test('a write makes the parents, sets the mode, replaces the inode and leaves no temporary file', async () => {
  await files.write('/etc/app/a.conf', bytes('one'), meta);
  const before = fs.statSync(`${root}/etc/app/a.conf`).ino;
  await files.write('/etc/app/a.conf', bytes('two'), meta);
  expect(fs.readFileSync(`${root}/etc/app/a.conf`, 'utf8')).toBe('two');
  expect(files.stat('/etc/app/a.conf')).toMatchObject({ type: 'file', mode: 0o640, size: 3 });
  expect(fs.statSync(`${root}/etc/app/a.conf`).ino).not.toBe(before);
  expect(fs.readdirSync(`${root}/etc/app`)).toEqual(['a.conf']);
});

test('what a process that was cut off left behind is cleared by the next one, once', async () => {
  await files.write('/a', bytes('one'), meta);
  fs.writeFileSync(`${root}/.fairlead-a.0123456789ab`, 'half');
  fs.writeFileSync(`${root}/.fairlead-notes`, "somebody's");
  await createFiles({ root }).write('/a', bytes('two'), meta);
  expect(fs.readdirSync(root).sort()).toEqual(['.fairlead-notes', 'a']);
});

test('a link in the place of the file is replaced, never written through', async () => {
  fs.writeFileSync(`${root}/victim`, 'precious');
  fs.symlinkSync('victim', `${root}/a`);
  await files.write('/a', bytes('new'), meta);
  expect(fs.readFileSync(`${root}/victim`, 'utf8')).toBe('precious');
  expect(fs.lstatSync(`${root}/a`).isFile()).toBe(true);
});

test('a link of root leads on, below the root; one of somebody else does not', async () => {
  fs.mkdirSync(`${root}/real`);
  fs.symlinkSync('/real', `${root}/alias`);
  await files.write('/alias/a', bytes('x'), meta);
  expect(fs.readFileSync(`${root}/real/a`, 'utf8')).toBe('x');
  if (process.getuid?.() !== 0) return;
  fs.symlinkSync('/real', `${root}/theirs`);
  fs.lchownSync(`${root}/theirs`, 1000, 1000);
  await expect(files.write('/theirs/a', bytes('y'), meta)).rejects.toThrow(/does not follow it/);
  expect(fs.readFileSync(`${root}/real/a`, 'utf8')).toBe('x');
});

test('links that go round in a circle end in an error', async () => {
  fs.symlinkSync('b', `${root}/a`);
  fs.symlinkSync('a', `${root}/b`);
  await expect(files.write('/a/x', bytes('x'), meta)).rejects.toThrow(AgentError);
});

test('removing: files and empty directories go, full ones stay, nothing is no error', async () => {
  await files.write('/d/a', bytes('x'), meta);
  expect(files.remove('/d')).toBe(false);
  expect(files.remove('/d/a')).toBe(true);
  expect(files.remove('/d')).toBe(true);
  expect(files.remove('/d')).toBe(true);
  expect(fs.readdirSync(root)).toEqual([]);
});

test('what is not there is undefined, and a failure says what, where and what to do', async () => {
  expect(files.stat('/none/at/all')).toBeUndefined();
  fs.writeFileSync(`${root}/f`, '');
  await expect(files.write('/f/x', bytes('x'), meta)).rejects.toThrow(
    /cannot write \/f\/x: one of its parents is not a directory/,
  );
});
