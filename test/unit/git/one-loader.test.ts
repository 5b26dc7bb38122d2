/** Commands that read a fleet offline read it exactly as a host does, in every state of the clone on the disk. */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import type { Checkout } from '../../../agent/core/types.ts';
import { AgentError } from '../../../agent/errors.ts';
import { KINDS } from '../../../agent/kinds/index.ts';
import { openFleet, renderFleetHost } from '../../../agent/repo/fleet.ts';
import { localCheckout } from '../../../agent/repo/local.ts';
import { notesOf } from '../../../agent/repo/notes.ts';
import { type OpenOptions, withTree } from '../../../agent/repo/tree.ts';
import { validateFleet } from '../../../agent/repo/validate.ts';
import { standInSecrets } from '../../../agent/secrets/stand-in.ts';
import { loadCheckout, providers, sha256 } from '../repo.ts';
import { createPuller } from './pull.ts';

const deps = { kinds: KINDS, providers: providers() };
const made: string[] = [];
afterAll(() => {
  for (const dir of made) rmSync(dir, { recursive: true, force: true });
});
const temporary = () => {
  const dir = mkdtempSync(path.join(os.tmpdir(), 'fairlead-one-'));
  made.push(dir);
  return dir;
};

type File = string | { link: string } | { submodule: true } | { executable: string };
const git = (dir: string, ...args: string[]): string =>
  execFileSync(
    'git',
    ['-C', dir, '-c', 'user.name=a', '-c', 'user.email=a@b', '-c', 'protocol.file.allow=always', ...args],
    {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    },
  ).trim();

function put(dir: string, files: Record<string, File>): void {
  for (const [name, file] of Object.entries(files)) {
    const at = path.join(dir, name);
    mkdirSync(path.dirname(at), { recursive: true });
    rmSync(at, { force: true, recursive: true });
    if (typeof file === 'string') writeFileSync(at, file);
    else if ('link' in file) symlinkSync(file.link, at);
    else if ('executable' in file) {
      writeFileSync(at, file.executable);
      chmodSync(at, 0o755);
    } else git(dir, 'update-index', '--add', '--cacheinfo', `160000,${'c'.repeat(40)},${name}`);
  }
}

/** A repository whose branch main has exactly these files. */
function commit(dir: string, files: Record<string, File>): string {
  git(dir, 'rm', '-rq', '--cached', '--ignore-unmatch', '.');
  for (const name of ['fleet.yaml', 'roles', 'hosts']) rmSync(path.join(dir, name), { recursive: true, force: true });
  const plain = Object.entries(files).filter(([, file]) => typeof file === 'string' || !('submodule' in file));
  put(dir, Object.fromEntries(plain));
  git(dir, 'add', '-Af', '.');
  put(
    dir,
    Object.fromEntries(Object.entries(files).filter(([, file]) => typeof file !== 'string' && 'submodule' in file)),
  );
  git(dir, 'commit', '-q', '--allow-empty', '-m', 'x');
  return git(dir, 'rev-parse', 'HEAD');
}

function repository(files: Record<string, File> = {}): string {
  const dir = temporary();
  git(dir, 'init', '-q', '-b', 'main');
  commit(dir, files);
  return dir;
}

const LFS = `version https://git-lfs.github.com/spec/v1\noid sha256:${'0'.repeat(64)}\nsize 5\n`;

/** The rendered host, or the message with which it is refused. */
async function resultOf(load: () => Promise<Checkout>): Promise<unknown> {
  try {
    const checkout = await load();
    const loaded = await loadCheckout(checkout, { decrypt: standInSecrets, keyedHash: sha256, facts: FACTS });
    return {
      files: [...checkout.files]
        .map(([name, bytes]) => [name, Buffer.from(bytes).toString('hex'), checkout.files.executable?.(name)])
        .sort(),
      resources: loaded.resources.map((r) => [r.id, r.hash, r.origin]),
      issues: said(loaded.issues),
    };
  } catch (thrown) {
    if (thrown instanceof AgentError) return { refused: thrown.message };
    throw thrown;
  }
}
const FACTS = {
  os: 'Debian 12',
  arch: 'x64',
  cpus: 2,
  memory: 4 * 1024 ** 3,
  machine_id: '0'.repeat(32),
  ipv4: '192.0.2.1',
  ipv6: '2001:db8::1',
};
/** Without suggestions of roles that the host did not fetch. */
const said = (issues: readonly { file: string; line: number; message: string }[]) =>
  issues.map((i) => `${i.file}:${i.line} ${i.message.replace(/(there is no role `[^`]*`).*/, '$1')}`).sort();

async function byHost(origin: string): Promise<unknown> {
  return resultOf(async () => {
    const { checkout } = await createPuller(temporary(), { url: origin, path: 'hosts/a' }).pull();
    if (checkout === null) throw new Error('held');
    return checkout;
  });
}

const offline = (dir: string, options: OpenOptions = {}): Promise<unknown> =>
  withTree(dir, options, async (tree) => {
    const fleet = await openFleet(tree);
    const loaded = await renderFleetHost(fleet, { name: 'a', path: 'hosts/a' }, deps);
    const refused = loaded.refused.map(({ message }) => message);
    if (refused.length > 0) return { refused: refused.slice(0, 20).join('; ') };
    return {
      files: [...loaded.files]
        .map(([name, bytes]) => [name, Buffer.from(bytes).toString('hex'), loaded.files.executable?.(name)])
        .sort(),
      resources: loaded.resources.map((r) => [r.id, r.hash, r.origin]),
      issues: said(loaded.issues),
    };
  });

/** Every form that a clone can have on a disk. */
const CLONES: Record<string, (origin: string, at: string) => void> = {
  packed(origin, at) {
    git(origin, 'clone', '-q', '--bare', origin, at);
    git(at, 'repack', '-qadf', '--depth=50', '--window=50');
  },
  loose: (origin, at) => void git(origin, 'clone', '-q', '--no-hardlinks', origin, at),
  shallow: (origin, at) => void git(origin, 'clone', '-q', '--depth=1', `file://${origin}`, at),
  worktree: (origin, at) => void git(origin, 'worktree', 'add', '-q', '--detach', at),
  alternates: (origin, at) => void git(origin, 'clone', '-q', '--shared', origin, at),
};

describe('a fleet read offline', () => {
  const layer = (dir: string) =>
    fc
      .dictionary(
        fc.constantFrom(
          'x.yaml',
          'y.yaml',
          'files/a',
          'files/b',
          'shop/compose.yaml',
          'run',
          'link',
          'sub',
          'big',
          'host.yaml',
          'role.yaml',
        ),
        fc.nat({ max: 5 }),
        { maxKeys: 7 },
      )
      .map(
        (picked): Record<string, File> =>
          Object.fromEntries(Object.entries(picked).map(([name, n]) => [`${dir}/${name}`, fileOf(name, n)])),
      );
  const fileOf = (name: string, n: number): File => {
    if (name === 'host.yaml' || name === 'role.yaml')
      return n === 5 ? { link: 'x.yaml' } : `roles: [${['', 'r', 's', 'r, s', 'none'][n]}]\n`;
    if (name === 'link') return { link: ['files/a', 'files', '../b', 'nowhere', '/etc/passwd', 'run'][n] ?? '' };
    if (name === 'run') return { executable: `#!/bin/sh\n${n}\n` };
    if (name === 'sub') return n > 3 ? { submodule: true } : 'no submodule\n';
    if (name === 'big') return n > 3 ? LFS : `big ${n}\n`;
    if (name === 'shop/compose.yaml') return `services: {web: {image: "web:${n}", volumes: ["./x:/x"]}}\n`;
    if (name.endsWith('.yaml'))
      return (
        [
          `files: {/etc/${n}: {source: files/a}}\n`,
          `files: {/etc/x: {content: "${n}"}}\n`,
          'units: {x.service: {state: started}}\n',
          `files: {/etc/run: {source: run}}\n`,
          'files: {/etc/x: {contnet: x}}\n',
          `roles: [r]\n`,
        ][n] ?? ''
      );
    return `${name} ${n}\n`;
  };
  const fleet = fc
    .tuple(
      fc.constantFrom<Record<string, File>>(
        {},
        { 'fleet.yaml': 'roles: [s]\n' },
        { 'fleet.yaml': LFS },
        { 'fleet.yaml': { link: 'hosts/a/x.yaml' } },
      ),
      layer('hosts/a'),
      layer('roles/r'),
      layer('roles/s'),
      fc.constantFrom<Record<string, File>>(
        { 'hosts/b/x.yaml': '' },
        { 'hosts/b/x.yaml': '', 'roles/none': { submodule: true } },
      ),
    )
    .map((layers): Record<string, File> => Object.assign({}, ...layers));

  const OTHER = { 'hosts/b/x.yaml': '' };
  const ONE = 'files: {/etc/x: {content: "x"}}\n';
  test('equals what the host reads, over packed, loose, shallow, shared and worktree clones', async () => {
    const origin = repository();
    const seen = { refused: 0, well: 0 };
    await fc.assert(
      fc.asyncProperty(fleet, async (files) => {
        commit(origin, files);
        const expected = await byHost(origin);
        if ('refused' in (expected as object)) seen.refused++;
        else seen.well++;
        for (const [name, clone] of Object.entries(CLONES)) {
          const at = path.join(temporary(), name);
          clone(origin, at);
          expect({ name, ...((await offline(at)) as object) }).toEqual({ name, ...(expected as object) });
        }
      }),
      // The property proves little if every host is refused, or none.
      {
        numRuns: 12,
        examples: [[{ ...OTHER, 'hosts/a/x.yaml': ONE }], [{ ...OTHER, 'hosts/a/link': { link: '/etc/passwd' } }]],
      },
    );
    expect(Math.min(seen.refused, seen.well)).toBeGreaterThan(0);
  });
});

/** The result of `validate`: errors and warnings by file, and notes about the working tree. */
const judge = (dir: string, options: OpenOptions = {}) =>
  withTree(dir, options, async (tree) => {
    const fleet = await openFleet(tree);
    const { dirty, warnings } = await notesOf(fleet, 'validate');
    const { issues } = await validateFleet(fleet, deps);
    return { dirty, warnings: warnings.map((i) => i.message), errors: issues.map((i) => i.message) };
  });

const ONE_FILE = { 'hosts/a/x.yaml': 'files: {/etc/x: {source: files/x}}\n', 'hosts/a/files/x': 'x\n' };

describe('the git state of a file', () => {
  test('ignored: it is missing, and the error says what to do', async () => {
    const dir = repository();
    put(dir, { ...ONE_FILE, '.gitignore': 'x\n' });
    git(dir, 'add', '-A');
    git(dir, 'commit', '-qm', 'x');
    for (const worktree of [false, true]) {
      const { dirty, warnings, errors } = await judge(dir, { worktree });
      expect(dirty).toBeNull();
      expect(errors).toEqual([expect.stringContaining('files/x')]);
      expect(warnings).toEqual([
        expect.stringMatching(/^hosts\/a\/files\/ is ignored by git|^hosts\/a\/files\/x is ignored by git/),
      ]);
    }
  });

  test('not committed: it is missing from HEAD, is in the working tree, and is named in both', async () => {
    const dir = repository({ 'hosts/a/x.yaml': ONE_FILE['hosts/a/x.yaml'] });
    put(dir, ONE_FILE);
    const head = await judge(dir);
    expect(head.errors).toEqual([expect.stringContaining('files/x')]);
    expect(head.dirty).toBe('1 file differs from HEAD; validate judges HEAD; --worktree judges this');
    expect(head.warnings).toEqual([expect.stringContaining('hosts/a/files/ is not committed')]);
    const lying = await judge(dir, { worktree: true });
    expect(lying).toMatchObject({ dirty: null, errors: [] });
    expect(lying.warnings).toEqual(head.warnings);
  });

  test('edited: the edit counts in the working tree, and neither the index nor the objects are changed', async () => {
    const dir = repository(ONE_FILE);
    put(dir, { 'hosts/a/x.yaml': 'files: {/etc/x: {contnet: x}}\n', 'roles/r/x.yaml': '', 'fleet.yaml': '' });
    const state = () => [git(dir, 'status', '--porcelain'), git(dir, 'count-objects', '-v')];
    const before = state();
    expect(await judge(dir)).toMatchObject({
      errors: [],
      dirty: '3 files differ from HEAD; validate judges HEAD; --worktree judges these',
    });
    expect((await judge(dir, { worktree: true })).errors).toEqual([expect.stringContaining('contnet')]);
    expect(state()).toEqual(before);
  });

  test('filtered: the host gets the output of the filter, and a file that the filter changes is named', async () => {
    const dir = repository();
    git(dir, 'config', 'core.autocrlf', 'true');
    git(dir, 'config', 'filter.fake.clean', `printf '${LFS.replaceAll('\n', '\\n')}'`);
    git(dir, 'config', 'filter.fake.required', 'true');
    put(dir, {
      'hosts/a/x.yaml': 'files: {/etc/x: {source: files/x}, /etc/big: {source: files/big}}\n',
      'hosts/a/files/x': 'one\r\ntwo\r\n',
      'hosts/a/files/big': 'not a pointer\n',
      '.gitattributes': 'big filter=fake\n',
    });
    git(dir, 'add', '-A');
    git(dir, 'commit', '-qm', 'x');
    expect((await judge(dir)).errors).toEqual([
      expect.stringContaining('hosts/a/files/big is a Git LFS pointer'),
      expect.stringContaining('files/big'),
    ]);
    const { warnings, errors } = await judge(dir, { worktree: true });
    expect(errors).toContainEqual(expect.stringContaining('hosts/a/files/big is a Git LFS pointer'));
    expect(warnings).toContainEqual(expect.stringContaining('hosts/a/files/x has other bytes here than git stores'));
  });

  test('a submodule is refused in HEAD and in the working tree, also if git does not know it yet', async () => {
    const dir = repository(ONE_FILE);
    const inner = repository({ f: 'x' });
    git(dir, 'clone', '-q', inner, path.join(dir, 'hosts/a/inner'));
    expect((await judge(dir, { worktree: true })).errors).toEqual([
      expect.stringContaining('hosts/a/inner is a submodule'),
    ]);
    git(dir, 'add', 'hosts/a/inner');
    git(dir, 'commit', '-qm', 'x');
    expect((await judge(dir)).errors).toEqual([expect.stringContaining('hosts/a/inner is a submodule')]);
  });

  test('a host directory that is a link or a submodule is not a host, and is reported', async () => {
    const dir = repository({ ...ONE_FILE, 'hosts/b': { link: 'a' }, 'hosts/c': { submodule: true } });
    expect((await judge(dir)).errors).toEqual([
      expect.stringContaining('hosts/b is a symbolic link'),
      expect.stringContaining('hosts/c is a submodule'),
    ]);
  });

  test('a fleet may be in a subdirectory of its repository, or in a bare repository', async () => {
    const dir = repository();
    put(dir, Object.fromEntries(Object.entries(ONE_FILE).map(([name, text]) => [`deep/er/${name}`, text])));
    git(dir, 'add', '-A');
    git(dir, 'commit', '-qm', 'x');
    put(dir, { 'other/y': 'y', 'deep/er/hosts/a/new': 'n' });
    const below = path.join(dir, 'deep/er');
    expect(await judge(below)).toMatchObject({ errors: [], dirty: expect.stringContaining('1 file differs') });
    expect((await judge(below, { worktree: true })).warnings).toEqual([
      expect.stringContaining('hosts/a/new is not committed'),
    ]);
    const bare = path.join(temporary(), 'bare.git');
    git(dir, 'clone', '-q', '--bare', dir, bare);
    await expect(judge(path.join(dir, 'other'))).rejects.toThrow(/HEAD has no directory other\//);
    expect(await withTree(bare, {}, async (tree) => (await openFleet(tree)).hosts)).toEqual([]);
  });

  test('a repository without commits is an error that says so; a directory without git is read as it is', async () => {
    const dir = temporary();
    put(dir, ONE_FILE);
    expect(await judge(dir)).toEqual({ dirty: null, warnings: [], errors: [] });
    git(dir, 'init', '-q');
    await expect(judge(dir)).rejects.toThrow(/nothing is committed in .* yet; commit the files, or .* --worktree/);
    expect((await judge(dir, { worktree: true })).errors).toEqual([]);
  });

  test('a missing object is reported with what to do', async () => {
    const dir = repository(ONE_FILE);
    const oid = git(dir, 'rev-parse', 'HEAD:hosts/a/files/x');
    rmSync(path.join(dir, '.git/objects', oid.slice(0, 2), oid.slice(2)));
    await expect(judge(dir)).rejects.toThrow(`is not whole: git lacks ${oid}; fetch it`);
  });

  test('a damaged object is reported with what to do, and replacement objects are not read', async () => {
    const dir = repository(ONE_FILE);
    const oid = git(dir, 'rev-parse', 'HEAD:hosts/a/files/x');
    writeFileSync(path.join(dir, 'other'), 'other\n');
    git(dir, 'replace', oid, git(dir, 'hash-object', '-w', 'other'));
    const files = await withTree(dir, {}, async (tree) => {
      const fleet = await openFleet(tree);
      return (await renderFleetHost(fleet, { name: 'a', path: 'hosts/a' }, deps)).files;
    });
    expect(Buffer.from(files.get('hosts/a/files/x') ?? []).toString()).toBe('x\n');
    const place = path.join(dir, '.git/objects', oid.slice(0, 2), oid.slice(2));
    const other = git(dir, 'rev-parse', 'HEAD:hosts/a/x.yaml');
    rmSync(place);
    writeFileSync(place, readFileSync(path.join(dir, '.git/objects', other.slice(0, 2), other.slice(2))));
    await expect(judge(dir)).rejects.toThrow(/NoRepository|damaged|git cat-file ended|git fsck/);
  });

  test('the environment of a git hook does not lead to another repository', async () => {
    const dir = repository(ONE_FILE);
    process.env.GIT_DIR = path.join(repository(), '.git');
    try {
      expect(await judge(dir)).toMatchObject({ errors: [], dirty: null });
    } finally {
      delete process.env.GIT_DIR;
    }
  });

  test('a plan of a directory reads HEAD, or the working tree, and has the notes', async () => {
    const dir = repository(ONE_FILE);
    put(dir, { 'hosts/a/x.yaml': 'files: {}\n' });
    const text = async (worktree: boolean) => {
      const { checkout, notes } = await localCheckout(dir, 'hosts/a', { worktree });
      return [Buffer.from(checkout.files.get('hosts/a/x.yaml') ?? []).toString(), notes.map((n) => n.message)];
    };
    expect(await text(false)).toEqual([
      ONE_FILE['hosts/a/x.yaml'],
      ['1 file differs from HEAD; plan judges HEAD; --worktree judges this'],
    ]);
    expect(await text(true)).toEqual(['files: {}\n', []]);
  });
});
