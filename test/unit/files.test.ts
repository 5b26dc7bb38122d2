/** Writing on a real file system, below a temporary root. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { AgentError } from '../../agent/errors.ts';
import { type Exec, exec } from '../../agent/system/exec.ts';
import { createFiles, type Files } from '../../agent/system/files/files.ts';

let root: string;
let files: Files;
const meta = { mode: 0o640, uid: -1, gid: -1 };
const bytes = (text: string) => new TextEncoder().encode(text);

beforeEach(() => {
  root = fs.mkdtempSync(path.join(os.tmpdir(), 'fairlead-files-'));
  files = createFiles({ root });
});
afterEach(() => fs.rmSync(root, { recursive: true }));

test('a write creates the parents, sets the mode, replaces the inode and leaves no temporary file', async () => {
  await files.write('/etc/app/a.conf', bytes('one'), meta);
  const before = fs.statSync(`${root}/etc/app/a.conf`).ino;
  await files.write('/etc/app/a.conf', bytes('two'), meta);
  expect(fs.readFileSync(`${root}/etc/app/a.conf`, 'utf8')).toBe('two');
  expect(files.stat('/etc/app/a.conf')).toMatchObject({ type: 'file', mode: 0o640, size: 3 });
  expect(fs.statSync(`${root}/etc/app/a.conf`).ino).not.toBe(before);
  expect(fs.readdirSync(`${root}/etc/app`)).toEqual(['a.conf']);
});

test('the parents that a write creates are open to all, whatever the umask of the agent', async () => {
  const before = process.umask(0o077);
  try {
    await files.write('/srv/new/deep/a.conf', bytes('one'), meta);
  } finally {
    process.umask(before);
  }
  const modes = ['srv', 'srv/new', 'srv/new/deep'].map((at) => fs.statSync(path.join(root, at)).mode & 0o777);
  expect(modes).toEqual([0o755, 0o755, 0o755]);
});

test('the parents that a write creates are no more open than the directory that contains them', async () => {
  fs.mkdirSync(path.join(root, 'own'), { mode: 0o700 });
  await files.write('/own/new/deep/a.conf', bytes('one'), meta);
  const modes = ['own/new', 'own/new/deep'].map((at) => fs.statSync(path.join(root, at)).mode & 0o777);
  expect(modes).toEqual([0o700, 0o700]);
});

test('temporary files of an interrupted process are removed by the next one, once', async () => {
  await files.write('/a', bytes('one'), meta);
  fs.writeFileSync(`${root}/.fairlead-a.0123456789ab`, 'half');
  fs.writeFileSync(`${root}/.fairlead-notes`, "somebody's");
  await createFiles({ root }).write('/a', bytes('two'), meta);
  expect(fs.readdirSync(root).sort()).toEqual(['.fairlead-notes', 'a']);
});

test('a symbolic link in the place of the file is replaced, never written through', async () => {
  fs.writeFileSync(`${root}/victim`, 'precious');
  fs.symlinkSync('victim', `${root}/a`);
  await files.write('/a', bytes('new'), meta);
  expect(fs.readFileSync(`${root}/victim`, 'utf8')).toBe('precious');
  expect(fs.lstatSync(`${root}/a`).isFile()).toBe(true);
});

test('a link of root is followed, below the root', async () => {
  fs.mkdirSync(`${root}/real`);
  fs.symlinkSync('/real', `${root}/alias`);
  await files.write('/alias/a', bytes('x'), meta);
  expect(fs.readFileSync(`${root}/real/a`, 'utf8')).toBe('x');
});

// Only root can change the owner of a link.
test.skipIf(process.getuid?.() !== 0)('a link of another user is not followed', async () => {
  fs.mkdirSync(`${root}/real`);
  fs.symlinkSync('/real', `${root}/theirs`);
  fs.lchownSync(`${root}/theirs`, 1000, 1000);
  await expect(files.write('/theirs/a', bytes('y'), meta)).rejects.toThrow(/does not follow it/);
  expect(fs.readdirSync(`${root}/real`)).toEqual([]);
});

test('a cycle of links ends in an error', async () => {
  fs.symlinkSync('b', `${root}/a`);
  fs.symlinkSync('a', `${root}/b`);
  await expect(files.write('/a/x', bytes('x'), meta)).rejects.toThrow(AgentError);
});

describe('many writes at once', () => {
  const entriesOf = (names: readonly string[], word: string) =>
    names.map((name) => ({ file: name, content: bytes(`${name} ${word}`), options: meta }));
  const names = Array.from({ length: 100 }, (_, i) => `/d${i % 7}/f${i}`);
  const contents = () => names.map((name) => fs.readFileSync(root + name, 'utf8'));
  const left = () => fs.readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((n) => /\.fairlead-/.test(n));

  /** Simulates a machine with this much dirty data, on a kernel whose syncfs(2) reports errors. */
  const withDirty = (megabytes: number) => {
    const read = fs.readFileSync;
    vi.spyOn(os, 'release').mockReturnValue('6.1.0');
    vi.spyOn(fs, 'readFileSync').mockImplementation(((file: fs.PathOrFileDescriptor, options: BufferEncoding) =>
      file === '/proc/meminfo'
        ? `Dirty: ${megabytes * 1024} kB\nWriteback: 0 kB\n`
        : read(file, options)) as typeof fs.readFileSync);
  };
  afterEach(() => vi.restoreAllMocks());
  const syncs = () => {
    const calls: { argv: readonly string[]; temporaries: number; inPlace: boolean }[] = [];
    const recording: Exec = async (argv, options) => {
      calls.push({ argv: argv.slice(0, 2), temporaries: left().length, inPlace: fs.existsSync(root + names[0]) });
      return exec(argv, options);
    };
    return { calls, exec: recording };
  };

  test('are synced together before any file is renamed to its place', async () => {
    withDirty(0);
    const { calls, exec: recording } = syncs();
    expect((await createFiles({ root, exec: recording }).writeAll(entriesOf(names, 'one'))).failed).toEqual(new Map());
    expect(calls).toEqual([{ argv: ['sync', '-f'], temporaries: 100, inPlace: false }]);
    expect(contents()).toEqual(names.map((name) => `${name} one`));
    expect(left()).toEqual([]);
  });

  test('replace existing files only after the sync', async () => {
    withDirty(0);
    await createFiles({ root, exec }).writeAll(entriesOf(names, 'one'));
    const before: string[][] = [];
    const recording: Exec = async (argv, options) => {
      before.push(contents());
      return exec(argv, options);
    };
    await createFiles({ root, exec: recording }).writeAll(entriesOf(names, 'two'));
    expect(before).toEqual([names.map((name) => `${name} one`)]);
    expect(contents()).toEqual(names.map((name) => `${name} two`));
  });

  test('are synced one by one if the machine has much other dirty data', async () => {
    withDirty(100_000);
    const { calls, exec: recording } = syncs();
    expect((await createFiles({ root, exec: recording }).writeAll(entriesOf(names, 'one'))).failed).toEqual(new Map());
    expect(calls).toEqual([]);
    expect(contents()).toEqual(names.map((name) => `${name} one`));
    expect(left()).toEqual([]);
  });

  test.skipIf(process.getuid?.() !== 0)('are never readable or executable for others meanwhile', async () => {
    // Files that are created in these directories have their group.
    for (const dir of new Set(names.map((name) => root + path.dirname(name)))) {
      fs.mkdirSync(dir);
      fs.chownSync(dir, 0, 50);
      fs.chmodSync(dir, 0o2775);
    }
    const special = new Set<number>();
    const groups = new Set<number>();
    const chmod = fs.fchmodSync;
    const spy = vi.spyOn(fs, 'fchmodSync').mockImplementation((fd, mode) => {
      chmod(fd, mode);
      const { uid, gid, mode: now } = fs.fstatSync(fd);
      if ((now & 0o6000) !== 0) special.add(uid);
      if (((now >> 3) & ~now & 0o7) !== 0) groups.add(gid);
    });
    const options = (i: number) => ({ mode: [0o6755, 0o640, 0o644][i % 3] ?? 0, uid: 1000 + (i % 2), gid: 7 });
    const entries = names.map((file, i) => ({ file, content: bytes(file), options: options(i) }));
    const { written } = await createFiles({ root, exec }).writeAll(entries);
    spy.mockRestore();
    expect([...special].sort()).toEqual([1000, 1001]);
    expect([...groups]).toEqual([7]);
    for (const [i, name] of names.entries()) {
      const { uid, gid, mode } = fs.statSync(root + name);
      expect({ uid, gid, mode: mode & 0o7777 }).toEqual(options(i));
      expect(written.get(name)).toMatchObject(options(i));
    }
  });

  test('continue if one file cannot be written, and report that file', async () => {
    fs.mkdirSync(`${root}/d0/f0/x`, { recursive: true });
    fs.writeFileSync(`${root}/d3`, 'a file');
    const { failed } = await createFiles({ root, exec }).writeAll(entriesOf(names, 'one'));
    expect([...failed.keys()].sort()).toEqual(['/d0/f0', ...names.filter((n) => n.startsWith('/d3/'))].sort());
    expect(failed.get('/d0/f0')?.message).toContain('there is a directory');
    expect(fs.readFileSync(`${root}/d1/f1`, 'utf8')).toBe('/d1/f1 one');
    expect(left()).toEqual([]);
  });

  test('also work without sync(1)', async () => {
    const none: Exec = async () => ({ code: 127, stdout: '', stderr: '' });
    expect((await createFiles({ root, exec: none }).writeAll(entriesOf(names, 'one'))).failed).toEqual(new Map());
    expect(contents()).toEqual(names.map((name) => `${name} one`));
    expect(left()).toEqual([]);
  });
});

test('directories created together have their modes, and an existing one is an error that names it', async () => {
  const names = Array.from({ length: 12 }, (_, i) => `/srv/d${i}`);
  await Promise.all(names.map((name) => files.mkdir(name, { ...meta, mode: 0o1750 })));
  for (const name of names) expect(files.stat(name)).toMatchObject({ type: 'directory', mode: 0o1750 });
  await expect(files.mkdir('/srv/d3', meta)).rejects.toThrow(/cannot make \/srv\/d3/);
});

test('removing: files and empty directories are removed, full ones stay, a missing one is no error', async () => {
  await files.write('/d/a', bytes('x'), meta);
  expect(files.remove('/d')).toBe(false);
  expect(files.remove('/d/a')).toBe(true);
  expect(files.remove('/d')).toBe(true);
  expect(files.remove('/d')).toBe(true);
  expect(fs.readdirSync(root)).toEqual([]);
});

test('removing many: in their order, each with its own result', async () => {
  const names = Array.from({ length: 150 }, (_, i) => `/d/e${i % 3}/f${i}`);
  for (const name of names) await files.write(name, bytes('x'), meta);
  fs.writeFileSync(`${root}/d/e2/foreign`, 'precious');
  const outcome = await files.removeAll([...names, '/d/e0', '/d/e1', '/d/e2', '/d/gone', '/d/e2/foreign/x', '/d']);
  const removed = [...names, '/d/e0', '/d/e1', '/d/gone'].map((name): [string, boolean] => [name, true]);
  const { message } = outcome.get('/d/e2/foreign/x') as Error;
  expect(message).toMatch(/cannot remove \/d\/e2\/foreign\/x: one of its parents is not a directory/);
  outcome.delete('/d/e2/foreign/x');
  expect(outcome).toEqual(new Map([...removed, ['/d/e2', false], ['/d', false]]));
  expect(fs.readdirSync(root, { recursive: true, encoding: 'utf8' }).sort()).toEqual(['d', 'd/e2', 'd/e2/foreign']);
});

test('a missing file is undefined, and a failure names the operation, the path and the remedy', async () => {
  expect(files.stat('/none/at/all')).toBeUndefined();
  fs.writeFileSync(`${root}/f`, '');
  await expect(files.write('/f/x', bytes('x'), meta)).rejects.toThrow(
    /cannot write \/f\/x: one of its parents is not a directory/,
  );
});
