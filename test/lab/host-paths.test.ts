/**
 * Files against a hostile local user, and against refusals of the machine's own mount table and disk. Runs on this machine, as
 * root.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { AgentError } from '../../agent/errors.ts';
import { exec } from '../../agent/system/exec.ts';
import { createFiles } from '../../agent/system/files/files.ts';
import { createExposures } from '../../agent/system/paths/exposed.ts';
import { until } from './run.ts';

const NOBODY = 65_534;
const WRITES = 10_000;
const META = { mode: 0o644, uid: 0, gid: 0 };

let dir: string;
beforeEach(() => {
  dir = fs.mkdtempSync(path.join(fs.realpathSync(os.tmpdir()), 'fairlead-paths-'));
  fs.chmodSync(dir, 0o755);
});
afterEach(() => fs.rmSync(dir, { recursive: true, force: true }));

const run = (...argv: string[]) => {
  const { status, stderr } = spawnSync(argv[0] ?? '', argv.slice(1), { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${argv.join(' ')}: ${stderr}`);
};

/**
 * Swaps, as another user and as fast as it can, each part of home/a/b with a link to the victim's directory and back, and the
 * file itself with a link to the victim's file. Ends by itself only after ten minutes.
 */
const ATTACK = `
const fs = require('node:fs');
const [home, victim] = process.argv.slice(1);
const swap = (at, target) => {
  try { fs.renameSync(at, at + '.away'); fs.symlinkSync(target, at); } catch {}
  try { fs.unlinkSync(at); } catch {}
  try { fs.renameSync(at + '.away', at); } catch {}
  try { fs.mkdirSync(home + '/a/b', { recursive: true }); } catch {}
};
const end = Date.now() + 600_000;
process.stdout.write('ready\\n');
for (let n = 0; Date.now() < end; n++) {
  swap(home + '/a', victim + '/a');
  swap(home + '/a/b', victim + '/a/b');
  try { fs.unlinkSync(home + '/a/b/file'); fs.symlinkSync(victim + '/a/b/precious', home + '/a/b/file'); } catch {}
  // Something that keeps whoever opens it waiting, and another name of a file that is not the attacker's.
  try { fs.unlinkSync(home + '/a/b/file'); fs.linkSync(victim + '/a/b/precious', home + '/a/b/file'); } catch {}
}
`;

test(`${WRITES} writes while another user swaps directories and links: none lands elsewhere; those of a naive writer do`, async () => {
  const home = path.join(dir, 'home');
  const victim = path.join(dir, 'victim');
  fs.mkdirSync(path.join(home, 'a/b'), { recursive: true });
  fs.mkdirSync(path.join(victim, 'a/b'), { recursive: true });
  fs.writeFileSync(path.join(victim, 'a/b/precious'), 'precious', { mode: 0o600 });
  for (const one of ['', 'a', 'a/b']) fs.chownSync(path.join(home, one), NOBODY, NOBODY);
  const untouched = () => ({
    names: fs.readdirSync(path.join(victim, 'a/b')),
    precious: fs.readFileSync(path.join(victim, 'a/b/precious'), 'utf8'),
    mode: fs.statSync(path.join(victim, 'a/b/precious')).mode & 0o7777,
    owners: ['', 'a', 'a/b', 'a/b/precious'].map((p) => fs.statSync(path.join(victim, p)).uid),
  });
  const before = untouched();
  const attacker = await attack(home, victim);
  const codes = new Map<string, number>();
  const note = (code: string) => codes.set(code, (codes.get(code) ?? 0) + 1);
  try {
    const files = createFiles({ root: '', exec });
    const file = path.join(home, 'a/b/file');
    const many = [file, ...Array.from({ length: 40 }, (_, i) => `${file}.${i}`)];
    for (let n = 0; n < WRITES; n++) {
      try {
        // Everything that a provider does to a file, in turn.
        if (n % 10 === 7) files.setMeta(file, { ...META, mode: 0o666, uid: NOBODY, gid: NOBODY });
        else if (n % 10 === 8) files.remove(file);
        else if (n % 20 === 9) await files.mkdir(`${file}.d`, META);
        else if (n % 20 === 19) await files.removeTree(`${file}.d`);
        else if (n % 100 === 6) {
          const entries = many.map((one) => ({ file: one, content: Buffer.from(String(n)), options: META }));
          for (const error of (await files.writeAll(entries)).failed.values()) throw error;
        } else await files.write(file, Buffer.from(String(n)), META);
        note('done');
      } catch (thrown) {
        if (!(thrown instanceof AgentError)) throw thrown;
        note(thrown.code);
      }
    }
    expect(untouched()).toEqual(before);
    // Both happened: writes that succeeded, and attacks that were refused.
    expect(codes.get('done')).toBeGreaterThan(100);
    expect((codes.get('UnsafePath') ?? 0) + (codes.get('FileFailed') ?? 0)).toBeGreaterThan(0);

    // The same attack against a program that writes by path.
    let fooled = false;
    for (let n = 0; n < WRITES && !fooled; n++) {
      try {
        fs.writeFileSync(`${file}.new`, 'naive');
        fs.renameSync(`${file}.new`, file);
        fs.writeFileSync(file, 'naive');
      } catch {
        // The path is being swapped.
      }
      fooled = JSON.stringify(untouched()) !== JSON.stringify(before);
    }
    expect(fooled).toBe(true);
  } finally {
    attacker.kill('SIGKILL');
  }
}, 600_000);

async function attack(home: string, victim: string): Promise<ChildProcess> {
  const child = spawn(process.execPath, ['-e', ATTACK, home, victim], {
    uid: NOBODY,
    gid: NOBODY,
    cwd: '/',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let ready = false;
  child.stdout.once('data', () => {
    ready = true;
  });
  await until('the attacker to begin', 60_000, async () => ready);
  return child;
}

test('a file with a mount over it is reported as busy, and stays', async () => {
  const file = path.join(dir, 'file');
  const other = path.join(dir, 'other');
  fs.writeFileSync(file, 'old');
  fs.writeFileSync(other, 'other');
  run('mount', '--bind', other, file);
  try {
    await expect(createFiles({ root: '' }).write(file, Buffer.from('new'), META)).rejects.toThrow(/mounted there/);
    expect(fs.readFileSync(file, 'utf8')).toBe('other');
  } finally {
    run('umount', file);
  }
  expect([fs.readFileSync(file, 'utf8'), fs.readdirSync(dir).sort()]).toEqual(['old', ['file', 'other']]);
});

test('an immutable file, and one in an immutable directory, are reported as such, and stay', async () => {
  const file = path.join(dir, 'file');
  fs.writeFileSync(file, 'old');
  for (const fixed of [file, dir]) {
    run('chattr', '+i', fixed);
    try {
      await expect(createFiles({ root: '' }).write(file, Buffer.from('new'), META)).rejects.toThrow(/lsattr/);
      expect([fs.readFileSync(file, 'utf8'), fs.readdirSync(dir)]).toEqual(['old', ['file']]);
    } finally {
      run('chattr', '-i', fixed);
    }
  }
});

test('a tree with another file system mounted in it is not emptied', async () => {
  fs.mkdirSync(path.join(dir, 'tree/mnt'), { recursive: true });
  run('mount', '-t', 'tmpfs', 'tmpfs', path.join(dir, 'tree/mnt'));
  try {
    fs.writeFileSync(path.join(dir, 'tree/mnt/data'), 'data');
    await expect(createFiles({ root: '' }).removeTree(path.join(dir, 'tree'))).rejects.toThrow(/mounted below/);
    expect(fs.readFileSync(path.join(dir, 'tree/mnt/data'), 'utf8')).toBe('data');
  } finally {
    run('umount', path.join(dir, 'tree/mnt'));
  }
});

test('below a directory that a container can write no mount is crossed, not even a bind mount of the same file system', async () => {
  for (const one of ['tree/mnt', 'tree/plain', 'other']) fs.mkdirSync(path.join(dir, one), { recursive: true });
  fs.writeFileSync(path.join(dir, 'other/file'), 'other');
  run('mount', '--bind', path.join(dir, 'other'), path.join(dir, 'tree/mnt'));
  try {
    const exposures = createExposures({ root: '', always: [path.join(dir, 'tree')] });
    const files = createFiles({ root: '', exposures });
    const file = path.join(dir, 'tree/mnt/file');
    await expect(files.write(file, Buffer.from('x'), META)).rejects.toMatchObject({ code: 'UnsafePath' });
    await expect(files.removeTree(path.join(dir, 'tree/mnt'))).rejects.toThrow(/mounted/);
    await expect(files.empty(path.join(dir, 'tree'), new Set())).rejects.toThrow(/mounted/);
    expect(() => files.remove(file)).toThrow(/another file system is mounted at/);
    expect(fs.readFileSync(path.join(dir, 'other/file'), 'utf8')).toBe('other');
    // A disk may be mounted below the mount of one container, and belong to another one.
    files.checkSource(path.join(dir, 'tree/mnt'));
    await files.write(path.join(dir, 'tree/file'), Buffer.from('x'), META);
    expect(fs.readFileSync(path.join(dir, 'tree/file'), 'utf8')).toBe('x');
  } finally {
    run('umount', path.join(dir, 'tree/mnt'));
  }
});

test('`..` in a link stops at the top of a root, as in the kernel', async () => {
  fs.mkdirSync(path.join(dir, 'root/etc'), { recursive: true });
  fs.mkdirSync(path.join(dir, 'etc'));
  fs.symlinkSync('../../../../etc', path.join(dir, 'root/link'));
  await createFiles({ root: path.join(dir, 'root') }).write('/link/x', Buffer.from('x'), META);
  expect([fs.readdirSync(path.join(dir, 'etc')), fs.readdirSync(path.join(dir, 'root/etc'))]).toEqual([[], ['x']]);
});

test('writes into one directory share its fsync, and each is durable when it resolves', async () => {
  const files = createFiles({ root: dir });
  await Promise.all(
    Array.from({ length: 200 }, async (_, n) => {
      await files.write(`/d/${n}`, Buffer.from(String(n)), META);
      expect(fs.readFileSync(path.join(dir, 'd', String(n)), 'utf8')).toBe(String(n));
    }),
  );
  expect(fs.readdirSync(path.join(dir, 'd'))).toHaveLength(200);
});
