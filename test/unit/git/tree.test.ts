import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MissingObject, type Objects } from '../../../agent/git/pack/objects.ts';
import { isWhole, locate, readFiles } from '../../../agent/git/store/tree.ts';
import { findEntry, parseTree } from '../../../agent/git/store/tree-entry.ts';
import { failure } from './pull.ts';

type Made = { mode: string; name: string | Uint8Array; oid: string };
const treeBytes = (entries: Made[]) =>
  Buffer.concat(
    entries.flatMap((e) => [
      Buffer.from(`${e.mode} `),
      Buffer.from(e.name as string),
      Buffer.from([0]),
      Buffer.from(e.oid, 'hex'),
    ]),
  );
const ID = 'c'.repeat(40);

/** Objects in memory, and a way to build trees of them. */
function store() {
  const held = new Map<string, Uint8Array>();
  const put = (type: string, bytes: Uint8Array) => {
    const oid = createHash('sha1').update(`${type} ${bytes.length}\0`).update(bytes).digest('hex');
    held.set(oid, bytes);
    return oid;
  };
  type Node = string | { link: string } | { submodule: string } | { [name: string]: Node };
  const build = (node: Record<string, Node>): string =>
    put(
      'tree',
      treeBytes(
        Object.entries(node).map(([name, below]) => {
          if (typeof below === 'string') return { mode: '100644', name, oid: put('blob', Buffer.from(below)) };
          if ('link' in below && typeof below.link === 'string')
            return { mode: '120000', name, oid: put('blob', Buffer.from(below.link)) };
          if ('submodule' in below) return { mode: '160000', name, oid: ID };
          return { mode: '40000', name, oid: build(below as Record<string, Node>) };
        }),
      ),
    );
  const objects: Objects = {
    has: async (oid) => held.has(oid),
    lacking: async (oids) => oids.filter((oid) => !held.has(oid)),
    async read(oid) {
      const bytes = held.get(oid);
      if (!bytes) throw new MissingObject(oid);
      return bytes;
    },
  };
  return { objects, build, held, put };
}

async function filesOf(node: Parameters<ReturnType<typeof store>['build']>[0], hostPath = 'hosts/a') {
  const { objects, build } = store();
  const { view, trees, closures } = await locate(objects, build(node), hostPath);
  expect([trees, closures]).toEqual([[], []]);
  const { contents } = await readFiles(objects, view);
  return Object.fromEntries([...contents].map(([name, bytes]) => [name, Buffer.from(bytes as Uint8Array).toString()]));
}

test('a file and a link to it are executable if git has the file so', async () => {
  const { objects, put } = store();
  const oid = put('blob', Buffer.from('#!/bin/sh\n'));
  const link = (name: string, target: string) => ({ mode: '120000', name, oid: put('blob', Buffer.from(target)) });
  const bin = put('tree', treeBytes([{ mode: '100755', name: 'run', oid }]));
  const own = treeBytes([
    { mode: '40000', name: 'bin', oid: bin },
    { mode: '100644', name: 'plain', oid },
    link('tools', 'bin'),
    link('x-plain', 'plain'),
    link('x-run', 'bin/run'),
  ]);
  const hosts = put('tree', treeBytes([{ mode: '40000', name: 'a', oid: put('tree', own) }]));
  const root = put('tree', treeBytes([{ mode: '40000', name: 'hosts', oid: hosts }]));
  const { view } = await locate(objects, root, 'hosts/a');
  const { executable } = await readFiles(objects, view);
  expect([...executable].sort()).toEqual(['hosts/a/bin/run', 'hosts/a/tools/run', 'hosts/a/x-run']);
});

test('trees survive a round trip', () => {
  const name = fc.stringMatching(/^[a-z][a-z0-9.é-]{0,20}$/);
  const entry = fc.record({ mode: fc.constantFrom('100644', '100755', '40000'), name });
  fc.assert(
    fc.property(fc.uniqueArray(entry, { selector: (e) => e.name }), (entries) => {
      const parsed = parseTree(treeBytes(entries.map((e) => ({ ...e, oid: ID }))), 'x');
      expect(parsed.map((e) => e.name)).toEqual(entries.map((e) => e.name));
      expect(parsed.map((e) => e.type)).toEqual(entries.map((e) => (e.mode === '40000' ? 'tree' : 'file')));
    }),
  );
});

test('any bytes as a tree are entries or an error with a code', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      try {
        parseTree(bytes, 'x');
      } catch (thrown) {
        expect((thrown as { code: string }).code).toBe('InvalidRepository');
      }
    }),
  );
});

test.each([
  '',
  '.',
  '..',
  'a/b',
  '.git',
  '.GIT',
  '.git ',
  '.git.',
  '.git::$INDEX_ALLOCATION',
  'git~1',
  'GIT~1',
  '.g\u200cit',
  'a\nb',
  'a\x1b[2Jb',
])('the name %j is refused', (name) => {
  expect(() => parseTree(treeBytes([{ mode: '100644', name, oid: ID }]), 'hosts/a')).toThrow(/hosts\/a has an entry/);
});

test('an entry is found among invalid ones, which are not checked', () => {
  const entries = ['.git', 'a\nb', 'edge-1', 'edge-10'].map((name, i) => ({
    mode: '40000',
    name,
    oid: String(i).repeat(40),
  }));
  expect(findEntry(treeBytes(entries), 'edge-1')).toEqual({ name: 'edge-1', type: 'tree', oid: '2'.repeat(40) });
  expect(findEntry(treeBytes(entries), 'edge')).toBeNull();
  expect(() => findEntry(treeBytes(entries).subarray(0, 30), 'x')).toThrow(/cannot be read/);
});

test('duplicate names, unknown modes and broken UTF-8 are refused', () => {
  const one = { mode: '100644', name: 'a', oid: ID };
  expect(() => parseTree(treeBytes([one, { ...one, mode: '40000' }]), 'x')).toThrow(/two entries "a"/);
  expect(() => parseTree(treeBytes([{ ...one, mode: '104644' }]), 'x')).toThrow(/mode 104644/);
  expect(() => parseTree(treeBytes([{ ...one, name: Buffer.from([0x66, 0xff]) }]), 'x')).toThrow(/not UTF-8/);
  expect(() => parseTree(treeBytes([one]).subarray(0, 20), 'x')).toThrow(/cannot be read/);
  // Names that differ in case only are two files on Linux.
  expect(parseTree(treeBytes([one, { ...one, name: 'A' }]), 'x')).toHaveLength(2);
});

test('the view has the host, fleet.yaml and the named roles, roles of roles too, and nothing else', async () => {
  const files = await filesOf({
    'fleet.yaml': 'roles: [base]\n',
    docs: { 'x.md': 'x' },
    hosts: { a: { 'host.yaml': 'roles: [web, none]\n', sub: { f: '1' } }, b: { f: '2' } },
    roles: { base: { f: 'base' }, web: { 'role.yaml': 'roles: [tls]\n' }, tls: { f: 'tls' }, db: { f: 'db' } },
  });
  expect(Object.keys(files).sort()).toEqual([
    'fleet.yaml', 'hosts/a/host.yaml', 'hosts/a/sub/f', 'roles/base/f', 'roles/tls/f', 'roles/web/role.yaml',
  ]); // biome-ignore format: a list
});

test('a role that names itself, or a missing role, ends', async () => {
  const files = await filesOf({
    hosts: { a: { 'host.yaml': 'roles: [web, "../hosts/b", 7]\n' }, b: { f: 'secret of b' } },
    roles: { web: { 'role.yaml': 'roles: [web]\n' } },
  });
  expect(Object.keys(files)).toEqual(['hosts/a/host.yaml', 'roles/web/role.yaml']);
});

test('without a directory there is no host; a file in its place is no host either', async () => {
  const { objects, build } = store();
  for (const node of [{ hosts: { b: { f: '1' } } }, { hosts: { a: 'a file' } }, { other: 'x' }])
    expect((await locate(objects, build(node), 'hosts/a')).view.hostExists).toBe(false);
});

test('the view reports what is missing, level by level, and never takes it for empty', async () => {
  const { objects, build, held } = store();
  const root = build({ hosts: { a: { sub: { f: '1' }, g: '2' } } });
  const whole = new Map(held);
  held.clear();
  const fetched: unknown[] = [];
  for (let round = 0; round < 10; round++) {
    const found = await locate(objects, root, 'hosts/a');
    if (isWhole(found)) break;
    const { trees, closures, files } = found;
    fetched.push([trees.length, closures.length, [...files.values()]]);
    for (const oid of [...trees, ...closures, ...files.keys()]) held.set(oid, whole.get(oid) ?? new Uint8Array());
  }
  // root; hosts; the host's tree; its entries; the last file.
  expect(fetched).toEqual([
    [1, 0, []],
    [1, 0, []],
    [0, 1, []],
    [0, 1, ['hosts/a/g']],
    [0, 0, ['hosts/a/sub/f']],
  ]);
});

test('links within the layer are replaced by their targets', async () => {
  const files = await filesOf({
    hosts: {
      a: { f: { conf: 'text' }, 'l.conf': { link: 'f/conf' }, d: { link: './f' }, sub: { up: { link: '../f/conf' } } },
    },
  });
  expect(files).toMatchObject({ 'hosts/a/l.conf': 'text', 'hosts/a/d/conf': 'text', 'hosts/a/sub/up': 'text' });
});

test.each([
  ['a link out of the layer', { l: { link: '../b/secret' } }, /leads out of hosts\/a/],
  ['an absolute link', { l: { link: '/etc/shadow' } }, /leads out of hosts\/a/],
  ['a link out of the repository', { l: { link: '../../../../etc/shadow' } }, /leads out of/],
  ['a link to its own parent', { d: { l: { link: '..' } } }, /a directory that contains it/],
  ['a link without a target', { l: { link: 'nowhere' } }, /there is nothing/],
  ['a link to a link', { l: { link: 'm' }, m: { link: 'l' } }, /is a link again/],
  ['a submodule', { s: { submodule: 'x' } }, /hosts\/a\/s is a submodule/],
  [
    'an LFS pointer',
    { big: `version https://git-lfs.github.com/spec/v1\noid sha256:${'0'.repeat(64)}\nsize 5\n` },
    /hosts\/a\/big is a Git LFS pointer/,
  ],
])('%s is refused by name', async (_, a, expected) => {
  expect(await failure(filesOf({ hosts: { a, b: { secret: 'of b' } } }))).toMatch(expected);
});

test('all errors are reported together', async () => {
  const said = await failure(filesOf({ hosts: { a: { s: { submodule: 'x' }, l: { link: '/etc' } } } }));
  expect(said).toMatch(/InvalidRepository: .*submodule.*symbolic link/);
});

test('a tree that contains itself, level by level, is refused before it fills the memory', async () => {
  const { objects, put } = store();
  const names = Array.from({ length: 100 }, (_, i) => String(i));
  const of = (mode: string, oid: string) =>
    put('tree', treeBytes([...names].sort().map((name) => ({ mode, name, oid }))));
  let tree = of('100644', put('blob', Buffer.from('x')));
  for (let level = 0; level < 5; level++) tree = of('40000', tree);
  const root = put('tree', treeBytes([{ mode: '40000', name: 'hosts', oid: put('tree', treeBytes([{ mode: '40000', name: 'a', oid: tree }])) }])); // biome-ignore format: one line
  await expect(locate(objects, root, 'hosts/a')).rejects.toThrow(/hosts\/a with its roles has more than 200000 files/);
});

test('links to directories of links, which double the size at each level, are refused at a limit', async () => {
  const levels = Object.fromEntries(
    Array.from({ length: 20 }, (_, i) => {
      const before = { link: `../${String.fromCharCode(96 + i)}` };
      return [String.fromCharCode(97 + i), i === 0 ? { f: 'x' } : { x: before, y: before }];
    }),
  );
  expect(await failure(filesOf({ hosts: { a: levels } }))).toMatch(/hosts\/a has more than 200000 files/);
});
