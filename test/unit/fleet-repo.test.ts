/** The repository as a whole: validate, render, affected. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { union } from '../../agent/core/payload/union.ts';
import { KINDS } from '../../agent/kinds/index.ts';
import { affectedHosts } from '../../agent/repo/affected.ts';
import { openFleet, renderFleetHost } from '../../agent/repo/fleet.ts';
import { joinParts, parsePart, partOf, partsFor } from '../../agent/repo/parts.ts';
import { printableState } from '../../agent/repo/state.ts';
import { openPlain, openTree } from '../../agent/repo/tree.ts';
import { validateFleet } from '../../agent/repo/validate.ts';
import { encryptAge } from '../../agent/secrets/age.ts';
import { treeOf } from './fleet-tree.ts';
import { providers } from './repo.ts';

import { sopsDocument, sopsDotenv } from './sops-writer.ts';

const deps = { kinds: KINDS, providers: providers() };
const made: string[] = [];
afterAll(() => {
  for (const dir of made) rmSync(dir, { recursive: true, force: true });
});

function directory(files: Record<string, string>): string {
  const dir = mkdtempSync(path.join(os.tmpdir(), 'fairlead-repo-'));
  made.push(dir);
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(dir, name)), { recursive: true });
    writeFileSync(path.join(dir, name), text);
  }
  return dir;
}

const validate = async (files: Record<string, string>) => {
  const { issues } = await validateFleet(await openFleet(treeOf(files)), deps);
  return issues.map((i) => `${i.file}:${i.line}: ${i.severity}: ${i.message} [${i.hosts.join(' ')}]`);
};

describe('validate', () => {
  test('reports every error of every host, and errors of a role once', async () => {
    expect(
      await validate({
        'roles/r/x.yaml': 'files:\n  /etc/x: {contnet: x}\n',
        'hosts/a/host.yaml': 'roles: [r]\n',
        'hosts/b/host.yaml': 'roles: [r]\n',
        'hosts/b/y.yaml': 'units:\n  nonsense: {}\n',
      }),
    ).toEqual([
      'hosts/b/y.yaml:2: error: `nonsense` is not a unit name; it ends in .service, .timer, .socket, .target, .path, .mount, .automount, .swap or .slice [hosts/b]',
      'roles/r/x.yaml:2: error: unknown key `contnet`; did you mean `content`? [hosts/a hosts/b]',
    ]);
  });

  test('finds hosts by the globs of fleet.yaml, and requires unique names', async () => {
    const files = {
      'fleet.yaml': 'hosts: ["sites/*/*", "lab/**/h*"]\n',
      'sites/berlin/one/x.yaml': '',
      'sites/oslo/one/x.yaml': '',
      'sites/oslo/Bad_Name/x.yaml': '',
      'lab/h1/x.yaml': '',
      'lab/deep/er/h2/x.yaml': '',
      'hosts/not/x.yaml': '',
    };
    const fleet = await openFleet(treeOf(files));
    expect(fleet.hosts.map((h) => h.path)).toEqual([
      'lab/deep/er/h2',
      'lab/h1',
      'sites/berlin/one',
      'sites/oslo/Bad_Name',
      'sites/oslo/one',
    ]);
    expect(fleet.issues.map((i) => `${i.file}: ${i.message}`)).toEqual([
      'sites/oslo/Bad_Name: `Bad_Name` is not a host name: lower case letters, digits and - (RFC 1123)',
      'sites/oslo/one: sites/berlin/one has the same name, and host names are unique in a fleet',
    ]);
    expect(await validate({ 'README.md': '' })).toEqual([
      expect.stringContaining('no directory matches hosts: hosts/*'),
    ]);
  });

  test('proves that every encrypted file that a host uses is encrypted to it', async () => {
    const [a, b] = (await Promise.all(
      ['a', 'b'].map(async () => identityToRecipient(await generateX25519Identity())),
    )) as [string, string];
    const files = {
      'roles/r/x.yaml':
        'files:\n  /etc/x: {content: "{{ secrets.s }}", template: true}\n  /etc/k: {source: files/k.age}\n',
      'roles/r/r.sops.yaml': stringify(await sopsDocument({ s: 'x' }, { recipients: [a, b] })),
      'roles/r/unused.sops.yaml': stringify(await sopsDocument({ u: 'x' }, { recipients: [] as string[] })).replace(
        'age: []',
        'age: [{recipient: x, enc: y}]',
      ),
      'roles/r/files/k.age': await encryptAge(new TextEncoder().encode('k'), [a, b]),
      'hosts/a/host.yaml': `roles: [r]\nage: ${a}\n`,
      'hosts/b/host.yaml': `roles: [r]\nage: ${b}\n`,
    };
    expect(await validate(files)).toEqual([]);
    const less = {
      ...files,
      'roles/r/r.sops.yaml': stringify(await sopsDocument({ s: 'x' }, { recipients: [a] })),
      'roles/r/files/k.age': await encryptAge(new TextEncoder().encode('k'), [a]),
    };
    expect(await validate(less)).toEqual([
      `roles/r/files/k.age:1: error: roles/r/files/k.age is not encrypted to hosts/b (${b}), which uses it; encrypt it again with \`fairlead secret encrypt\` [hosts/b]`,
      `roles/r/r.sops.yaml:1: error: roles/r/r.sops.yaml is not encrypted to hosts/b (${b}), which uses it; encrypt it again with \`sops updatekeys\` [hosts/b]`,
    ]);
    expect((await validate({ ...files, 'hosts/b/host.yaml': 'roles: [r]\n' }))[0]).toContain(
      'its host.yaml has no `age:`',
    );
  });

  test('yields the same result in parts', async () => {
    const files: Record<string, string> = { 'roles/r/x.yaml': 'files: {/etc/x: {mode: 1}}\n' };
    for (let i = 0; i < 7; i++) files[`hosts/h${i}/host.yaml`] = `roles: [r]\nmode: ${i}\n`;
    const fleet = await openFleet(treeOf(files));
    const whole = await validateFleet(fleet, deps);
    const parts = await Promise.all([1, 2, 3].map((index) => validateFleet(partOf(fleet, { index, of: 3 }), deps)));
    const sorted = (v: typeof whole) => ({ ...v, issues: v.issues.map((i) => ({ ...i, hosts: [...i.hosts].sort() })) });
    expect(sorted(joinParts(parts))).toEqual(sorted(whole));
    expect([parsePart('2/3'), parsePart('4/3'), parsePart('0/1'), parsePart('x')]).toEqual([
      { index: 2, of: 3 },
      null,
      null,
      null,
    ]);
    expect([partsFor(100, 8), partsFor(10_000, 2), partsFor(1_000, 8)]).toEqual([1, 2, 2]);
  });
});

test('a directory and its commit are the same fleet; a link that leaves it is an error', async () => {
  const dir = directory({
    'hosts/a/x.yaml': 'files: {/etc/x: {source: files/x}}\n',
    'hosts/a/files/x': 'bytes\n',
    'hosts/a/files/ünï "quoted"': 'odd name',
  });
  execFileSync('ln', ['-s', '/etc/passwd', path.join(dir, 'hosts/a/link')]);
  const git = (...args: string[]) =>
    execFileSync('git', ['-C', dir, '-c', 'user.name=a', '-c', 'user.email=a@b', ...args]);
  git('init', '-q');
  git('add', '-A');
  git('commit', '-qm', 'x');
  for (const tree of [openPlain(dir), await openTree(dir), await openTree(dir, { worktree: true })]) {
    const fleet = await openFleet(tree);
    const { issues, resources, files } = await renderFleetHost(fleet, { name: 'a', path: 'hosts/a' }, deps);
    tree.close();
    expect(issues.map((i) => i.message)).toEqual([expect.stringContaining('hosts/a/link is a symbolic link')]);
    expect(resources.map((r) => r.id)).toEqual(['file:/etc/x']);
    expect([...files.keys()].sort()).toEqual(['hosts/a/files/x', 'hosts/a/files/ünï "quoted"', 'hosts/a/x.yaml']);
  }
  await expect(openTree(dir, { rev: 'nope' })).rejects.toThrow(/there is no commit `nope`/);
  await expect(openTree(dir, { rev: '--help' })).rejects.toThrow(/there is no commit `--help`/);
  await expect(openTree(path.join(dir, 'none'))).rejects.toThrow(/cannot read/);
});

test('a union is both maps together, and the first one wins', () => {
  const pairs = fc.array(fc.tuple(fc.stringMatching(/^[a-f]$/), fc.integer()));
  fc.assert(
    fc.property(pairs, pairs, (a, b) => {
      const joined = union(new Map(a), new Map(b));
      const copied = new Map([...b, ...a]);
      expect(new Map(joined)).toEqual(copied);
      expect([joined.size, new Set(joined.keys()), [...joined.values()].sort()]).toEqual([
        copied.size,
        new Set(copied.keys()),
        [...copied.values()].sort(),
      ]);
      for (const key of 'abcdefg')
        expect([joined.has(key), joined.get(key)]).toEqual([copied.has(key), copied.get(key)]);
    }),
  );
});

test('validate reports an encrypted file that is not encrypted to the host, on every route to the host', async () => {
  const [own, other] = await Promise.all(
    [generateX25519Identity(), generateX25519Identity()].map(async (key) => identityToRecipient(await key)),
  );
  const env = await sopsDotenv({ PASSWORD: 'x' }, { recipients: [other ?? ''] });
  const found = await validate({
    'hosts/a/host.yaml': `age: ${own}\n`,
    'hosts/a/shop/compose.yaml':
      'services: {web: {image: "x:${PASSWORD}", env_file: [settings], volumes: ["./conf:/conf"]}}\n',
    'hosts/a/shop/.env': env,
    'hosts/a/shop/settings': env,
    'hosts/a/shop/conf/x': env,
  });
  expect(found.map((line) => line.replace(/ which uses it.*/, ''))).toEqual(
    ['.env', 'conf/x', 'settings'].map(
      (name) => `hosts/a/shop/${name}:1: error: hosts/a/shop/${name} is not encrypted to hosts/a (${own}),`,
    ),
  );
});

describe('affected', () => {
  const HOSTS = ['hosts/a', 'hosts/b', 'hosts/c'];
  const ROLES = ['r', 's', 't'];
  const rolesText = fc
    .uniqueArray(fc.constantFrom(...ROLES), { maxLength: 2 })
    .map((r) => `roles: [${r.join(', ')}]\n`);
  const body = fc.record({ n: fc.integer({ min: 0, max: 2 }), v: fc.constantFrom('x', 'y') });
  const manifest = body.map(
    ({ n, v }) => `files:\n  /etc/f${n}: {content: "{{ vars.${v} }}", template: true}\n  /etc/src: {source: p}\n`,
  );
  const layer = (dir: string, file: string) =>
    fc
      .record({
        settings: fc.option(
          fc.tuple(rolesText, body).map(([r, { n, v }]) => `${r}vars: {${v}: ${n}}\n`),
          { nil: undefined },
        ),
        manifest: fc.option(manifest, { nil: undefined }),
        payload: fc.option(fc.constantFrom('1', '2'), { nil: undefined }),
        comment: fc.boolean(),
      })
      .map(
        ({ settings, manifest, payload, comment }): Record<string, string> => ({
          ...(settings === undefined ? {} : { [`${dir}/${file}`]: settings }),
          ...(manifest === undefined ? {} : { [`${dir}/x.yaml`]: comment ? `# moved\n${manifest}` : manifest }),
          ...(payload === undefined ? {} : { [`${dir}/p`]: payload }),
        }),
      );
  const repo = fc
    .tuple(
      fc.option(
        rolesText.map((r) => `${r}vars: {x: 0, y: 0}\n`),
        { nil: undefined },
      ),
      ...ROLES.map((r) => layer(`roles/${r}`, 'role.yaml')),
      ...HOSTS.map((h) => layer(h, 'host.yaml')),
    )
    .map(
      ([fleet, ...layers]): Record<string, string> =>
        Object.assign(fleet === undefined ? {} : { 'fleet.yaml': fleet }, ...(layers as object[])),
    );
  /** Takes some files of each: most pairs of commits have much in common. */
  const pair = fc
    .tuple(repo, repo, fc.array(fc.nat({ max: 9 }), { minLength: 24, maxLength: 24 }))
    .map(([a, b, keep]) => {
      const names = [...new Set([...Object.keys(a), ...Object.keys(b)])].sort();
      const head = names.flatMap((name, i) => {
        const text = (keep[i % keep.length] ?? 0) > 1 ? a[name] : b[name];
        return text === undefined ? [] : [[name, text]];
      });
      return [a, Object.fromEntries(head) as Record<string, string>] as const;
    });

  test('equals rendering all hosts at both commits and comparing', async () => {
    let changes = 0;
    let same = 0;
    await fc.assert(
      fc.asyncProperty(pair, async ([base, head]) => {
        const [before, after] = [await openFleet(treeOf(base)), await openFleet(treeOf(head))];
        const expected: string[] = [];
        for (const path of HOSTS) {
          const state = async (fleet: typeof before) => {
            const host = fleet.hosts.find((h) => h.path === path);
            return host ? printableState(await renderFleetHost(fleet, host, deps)) : null;
          };
          const [was, is] = [await state(before), await state(after)];
          if (was !== is) expected.push(path);
          else same++;
        }
        changes += expected.length;
        const found = await affectedHosts(treeOf(base), treeOf(head), deps);
        expect(found.map((f) => f.path)).toEqual(expected);
      }),
      { numRuns: 150 },
    );
    // The property proves little if everything, or nothing, changes.
    expect(Math.min(changes, same)).toBeGreaterThan(30);
  });

  test('a comment affects no host, a role its hosts, fleet.yaml all, a secret the hosts that use it', async () => {
    const base = {
      'roles/r/x.yaml': 'files: {/etc/x: {content: "{{ secrets.s }}", template: true}}\n',
      'roles/r/s.sops.yaml': stringify(await sopsDocument({ s: 'one' }, { recipients: [] })).replace(
        'age: []',
        'age: [{recipient: x, enc: y}]',
      ),
      'hosts/a/host.yaml': 'roles: [r]\n',
      'hosts/b/x.yaml': 'files: {/etc/y: {content: y}}\n',
    };
    const affected = async (change: Record<string, string>) =>
      (await affectedHosts(treeOf(base), treeOf({ ...base, ...change }), deps)).map((h) => `${h.change} ${h.host}`);
    expect(await affected({ 'roles/r/x.yaml': `# hello\n${base['roles/r/x.yaml']}`, 'README.md': 'new' })).toEqual([]);
    expect(await affected({ 'roles/r/y.yaml': 'files: {/etc/z: {content: z}}\n' })).toEqual(['changed a']);
    expect(await affected({ 'fleet.yaml': 'roles: [r]\n' })).toEqual(['changed b']);
    expect(
      await affected({
        'roles/r/s.sops.yaml': stringify(await sopsDocument({ s: 'two' }, { recipients: [] })).replace(
          'age: []',
          'age: [{recipient: x, enc: y}]',
        ),
      }),
    ).toEqual(['changed a']);
    expect(await affected({ 'hosts/c/x.yaml': '' })).toEqual(['added c']);
    expect(await affected({ 'hosts/b/x.yaml': 'files: {/etc/y: {contnet: y}}\n' })).toEqual(['changed b']);
  });
});
