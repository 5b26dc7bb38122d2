/** What packages contain besides the program, and what their scripts do to a host. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { parseConfig } from '../../agent/config.ts';
import { exampleConfig } from '../../packaging/example-config.ts';
import { componentsOf, readLock } from '../../packaging/licences/components.ts';
import { copyrightFile } from '../../packaging/licences/copyright.ts';
import { billOfMaterials } from '../../packaging/licences/sbom.ts';
import { functionsFor } from '../../packaging/scripts/script.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const INPUTS = [
  'agent/main.ts',
  'node_modules/yaml/dist/index.js',
  'node_modules/@noble/hashes/sha2.js',
  // This library names its licence but ships no licence file.
  'node_modules/split-ca/index.js',
];

test('a package contains the same version of Node that runs the tests', () => {
  const { devDependencies } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8'));
  const { packages } = readLock(path.join(ROOT, 'packaging/runtime'));
  for (const arch of ['x64', 'arm64'])
    expect(packages[`node_modules/node-linux-${arch}`]).toMatchObject({
      version: devDependencies.node,
      integrity: expect.stringMatching(/^sha512-/),
    });
});

test('every library of the bundle has its licence in the copyright file', () => {
  const text = copyrightFile(componentsOf(ROOT, INPUTS));
  expect(text).toContain('Files: yaml');
  expect(text).toContain('Files: @noble/hashes');
  expect(text).toContain('Permission to use, copy, modify, and/or distribute this software');
});

test('the bill of materials has the hash of the lock file for every library, and is the same each time', () => {
  const about = { version: '1.2.3', arch: 'x64', epoch: 1_700_000_000, components: componentsOf(ROOT, INPUTS) };
  const bill = billOfMaterials(about) as { components: { name: string; hashes: { content: string }[] }[] };
  expect(bill.components.map(({ name }) => name)).toEqual(['@noble/hashes', 'split-ca', 'yaml']);
  for (const { hashes } of bill.components) expect(hashes[0]?.content).toMatch(/^[0-9a-f]{128}$/);
  expect(billOfMaterials(about)).toEqual(bill);
});

test('the example of agent.yaml is valid', () => {
  expect(parseConfig('agent.yaml', exampleConfig(), 'edge-1').repo.url).toBe('https://git.example.com/fleet.git');
});

/** A host's directories below a temporary one, and the functions of packages that work there. */
function hostDirs(schema = 6) {
  const dir = mkdtempSync(path.join(os.tmpdir(), 'fairlead-scripts-'));
  const state = path.join(dir, 'state');
  mkdirSync(state);
  const text = functionsFor({ version: '1.0.0', schema })
    .replaceAll('/var/lib/fairlead', state)
    .replaceAll('/etc/fairlead', path.join(dir, 'etc'))
    .replaceAll('/usr/lib/fairlead', path.join(dir, 'lib'))
    .replaceAll('/var/cache/fairlead', path.join(dir, 'cache'))
    .replaceAll('/proc/', path.join(dir, 'proc/'));
  const run = (script: string) => spawnSync('sh', ['-ec', `${text}\n${script}`], { encoding: 'utf8' });
  const put = (file: string, content: string) => {
    const full = path.join(dir, file);
    mkdirSync(path.dirname(full), { recursive: true });
    writeFileSync(full, content);
    return full;
  };
  return { dir, state, run, put, has: (file: string) => existsSync(path.join(dir, file)) };
}

test('a version that cannot read the state is refused before anything is changed', () => {
  const host = hostDirs(6);
  host.put('state/schema', '7\n');
  const { status, stderr } = host.run('refuse_downgrade');
  expect(status).toBe(1);
  expect(stderr).toContain('was written by a newer version');
});

test.each(['6\n', '5\n', '', 'nonsense'])('a version that can read the state is not refused: %j', (schema) => {
  const host = hostDirs(6);
  host.put('state/schema', schema);
  expect(host.run('refuse_downgrade').status).toBe(0);
});

test('the former program survives the replacement of its files', () => {
  const host = hostDirs();
  host.put('lib/lib/main.mjs', 'old');
  expect(host.run('keep_previous').status).toBe(0);
  execFileSync('rm', [path.join(host.dir, 'lib/lib/main.mjs')]);
  host.put('lib/lib/main.mjs', 'new');
  expect(readFileSync(path.join(host.dir, 'lib.previous/lib/main.mjs'), 'utf8')).toBe('old');
});

test('the copy of an interrupted upgrade is not overwritten by a partly unpacked program', () => {
  const host = hostDirs();
  host.put('lib/lib/main.mjs', 'half');
  host.put('lib.previous/lib/main.mjs', 'old');
  host.put('lib.previous/was-running', '');
  host.run('keep_previous');
  expect(readFileSync(path.join(host.dir, 'lib.previous/lib/main.mjs'), 'utf8')).toBe('old');
});

test('a rollback of a package that is killed at any moment is completed by the next one', () => {
  const change = (name: string) =>
    `${name}() { left=$((left - 1)); [ $left -gt 0 ] || kill -9 $$; command ${name} "$@"; }`;
  const killing = ['ln', 'cp', 'rm', 'mv', 'sync'].map(change).join('\n');
  let moments = 0;
  for (let wasKilled = true; wasKilled; moments++) {
    const host = hostDirs();
    for (const [at, of, form] of [
      ['lib', 'new', 7],
      ['lib.previous', 'old', 6],
    ] as const) {
      host.put(`${at}/lib/main.mjs`, of);
      host.put(`${at}/SCHEMA`, `${form}\n`);
    }
    host.put('lib.previous/fairlead.service', 'old unit');
    host.put('lib.previous/was-running', '');
    host.put('unit', 'new unit');
    host.put('state/schema', '7\n');
    host.put('state/history.db', 'form 7');
    host.put('state/history.db.6', 'form 6');
    const script = `systemctl() { :; }\nUNIT=${host.dir}/unit\n[ ! -d "$PREVIOUS" ] || put_back`;
    wasKilled = host.run(`left=${moments + 1}\n${killing}\n${script}`).signal === 'SIGKILL';
    const { status } = host.run(script);
    const text = (file: string) => readFileSync(path.join(host.dir, file), 'utf8').trim();
    const found = { status, program: text('lib/lib/main.mjs'), unit: text('unit'), database: text('state/history.db') };
    expect({ moments, ...found, form: text('state/schema') }).toEqual({
      ...{ moments, status: 0, program: 'old', unit: 'old unit', database: 'form 6', form: '6' },
    });
  }
  expect(moments).toBeGreaterThan(10);
});

test('a purge keeps every byte below tree/ that fairlead did not write, and lists it', () => {
  const host = hostDirs();
  const written = host.put('state/tree/hosts/a/shop/conf/app.conf', 'ours');
  const edited = host.put('state/tree/hosts/a/shop/conf/edited.conf', 'ours');
  host.put('state/tree/hosts/a/shop/data/db', 'theirs');
  host.put('state/history.db', '');
  host.put('etc/agent.yaml', '');
  host.put('etc/mqtt.password', '');
  host.put('state/tree.sums', execFileSync('sha256sum', [written, edited], { encoding: 'utf8' }));
  writeFileSync(edited, 'edited by somebody');
  const { status, stderr } = host.run('purge_state');
  expect(status).toBe(0);
  expect(host.has('state/tree/hosts/a/shop/conf/app.conf')).toBe(false);
  expect(host.has('state/tree/hosts/a/shop/conf/edited.conf')).toBe(true);
  expect(host.has('state/tree/hosts/a/shop/data/db')).toBe(true);
  expect(host.has('state/history.db')).toBe(false);
  expect(host.has('etc/agent.yaml')).toBe(false);
  expect(host.has('etc/mqtt.password')).toBe(true);
  for (const left of ['edited.conf', 'data/db', 'mqtt.password']) expect(stderr).toContain(left);
});

test('a purge without a list of written files keeps all of tree/', () => {
  const host = hostDirs();
  host.put('state/tree/hosts/a/conf/app.conf', 'perhaps ours');
  host.run('purge_state');
  expect(host.has('state/tree/hosts/a/conf/app.conf')).toBe(true);
});

test('a purge of a host without foreign files leaves nothing', () => {
  const host = hostDirs();
  const written = host.put('state/tree/hosts/a/conf/app.conf', 'ours');
  host.put('state/tree.sums', execFileSync('sha256sum', [written], { encoding: 'utf8' }));
  host.put('etc/agent.yaml', '');
  const { stderr } = host.run('purge_state');
  expect(stderr).toBe('');
  expect(host.has('state')).toBe(false);
  expect(host.has('etc')).toBe(false);
});

test('a cache that is a mount of its own is emptied, and no removal fails because of it', () => {
  const host = hostDirs();
  host.put('cache/code', 'compiled');
  // rm(1) empties a mount, and fails at the directory: EBUSY.
  const mounted = 'rm() { case "$*" in */cache) command rm -rf "$2"/*; return 1 ;; esac; command rm "$@"; }';
  const { status } = host.run(`${mounted}\ndrop_leftovers`);
  expect(status).toBe(0);
  expect(host.has('cache/code')).toBe(false);
});

test('a purge keeps all of tree/ while a process has some of it mounted', () => {
  const host = hostDirs();
  const written = host.put('state/tree/hosts/a/conf/app.conf', 'ours');
  host.put('state/tree.sums', execFileSync('sha256sum', [written], { encoding: 'utf8' }));
  host.put('state/history.db', '');
  // As proc_pid_mountinfo(5) shows a container's mount of it.
  const mount = execFileSync('stat', ['-c', '%m', host.state], { encoding: 'utf8' }).trim().replace(/\/$/, '');
  const source = `${host.state.slice(mount.length)}/tree/hosts/a/conf`;
  host.put('proc/17/mountinfo', `36 35 98:0 ${source} /conf rw - ext4 /dev/vda rw\n`);
  const { stderr } = host.run('purge_state');
  expect(stderr).toContain('files that running containers have mounted');
  expect(host.has('state/tree/hosts/a/conf/app.conf')).toBe(true);
  expect(host.has('state/history.db')).toBe(false);
});
