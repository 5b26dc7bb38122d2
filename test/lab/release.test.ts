/**
 * Signatures, checksums and the APT repository of a release, with the tools that create and read them; hosts are in
 * packages.test.ts.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { publishApt } from '../../packaging/release/apt.ts';
import { writeArtifacts } from '../../packaging/release/artifacts.ts';
import { openSigner, type Signer } from '../../packaging/release/openpgp.ts';
import { ensurePrograms } from './packages.ts';
import { writeTrialKey } from './release-key.ts';

const ROOT = path.join(import.meta.dirname, '../..');
let dir: string;
let signer: Signer;
const at = (...names: string[]) => path.join(dir, ...names);

beforeAll(async () => {
  await ensurePrograms({
    gpg: 'gnupg',
    gpgv: 'gpgv',
    'apt-ftparchive': 'apt-utils',
    rpmsign: 'rpm',
    'dpkg-deb': 'dpkg',
  });
  dir = mkdtempSync(path.join(os.tmpdir(), 'fairlead-release-'));
  // Not every rpm in use supports other kinds of keys.
  writeTrialKey({ file: at('key.asc'), algorithm: 'rsa3072' });
  signer = openSigner({ key: at('key.asc') });
});
afterAll(() => {
  signer?.close();
  rmSync(dir, { recursive: true, force: true });
});

/** gpgv(1) with the published key of a release. @returns its exit code */
function verified(key: string, ...files: string[]): number | null {
  execFileSync('gpg', ['--batch', '--yes', '--dearmor', '--output', at('keyring.gpg'), key]);
  return spawnSync('gpgv', ['--keyring', at('keyring.gpg'), ...files]).status;
}

/** A package of a few bytes. */
function tinyDeb(version: string, content = ''): string {
  const tree = at(`tree-${version}${content}`);
  mkdirSync(path.join(tree, 'DEBIAN'), { recursive: true });
  const control = `Package: fairlead\nVersion: ${version}\nArchitecture: amd64\nMaintainer: Ben <ben@example.com>\nDescription: A trial.\n`;
  writeFileSync(path.join(tree, 'DEBIAN/control'), control);
  writeFileSync(path.join(tree, 'content'), content);
  const deb = path.join(tree, `fairlead_${version}_amd64.deb`);
  execFileSync('dpkg-deb', ['--root-owner-group', '--build', tree, deb], { stdio: 'ignore' });
  return deb;
}

/** An rpm of a few bytes. */
function tinyRpm(out: string): string {
  const spec = at('tiny.spec');
  const head = 'Name: tiny\nVersion: 1\nRelease: 1\nSummary: A trial\nLicense: MIT\nBuildArch: noarch\n';
  writeFileSync(spec, `${head}%description\nA trial.\n%files\n`);
  execFileSync('rpmbuild', ['-bb', '--quiet', '--define', `_topdir ${at('rpm')}`, '--define', `_rpmdir ${out}`, spec], {
    stdio: 'ignore',
  });
  return path.join(out, 'noarch/tiny-1-1.noarch.rpm');
}

test('checksums name every file of a release, and are signed', () => {
  const out = at('out');
  mkdirSync(out);
  const made = ['fairlead.deb', 'fairlead.cdx.json'].map((name) => path.join(out, name));
  for (const file of made) writeFileSync(file, file);
  const files = writeArtifacts({ out, made, notes: '- New.\n', signer });
  expect(files.map((file) => path.basename(file)).toSorted()).toEqual(readdirSync(out).toSorted());
  expect(execFileSync('sha256sum', ['--check', 'SHA256SUMS'], { cwd: out, encoding: 'utf8' }).split('\n').length).toBe(
    4,
  );
  const key = path.join(out, 'fairlead.asc');
  const [sums, signature] = [path.join(out, 'SHA256SUMS'), path.join(out, 'SHA256SUMS.asc')];
  expect(verified(key, signature, sums)).toBe(0);
  writeFileSync(sums, readFileSync(sums, 'utf8').replace(/^./, 'x'));
  expect(verified(key, signature, sums)).not.toBe(0);
});

test('an rpm contains its signature', () => {
  const rpm = tinyRpm(at('rpms'));
  const db = ['--dbpath', at('rpmdb')];
  const checked = () => spawnSync('rpmkeys', [...db, '--checksig', rpm], { encoding: 'utf8' }).stdout;
  writeFileSync(at('public.asc'), signer.publicKey);
  execFileSync('rpmkeys', [...db, '--import', at('public.asc')]);
  expect(checked()).not.toContain('signatures');
  signer.rpm(rpm);
  expect(checked()).toContain('signatures OK');
});

test('a published package stays beside newer ones, and each index under its hash', () => {
  const repository = at('apt');
  publishApt({ repository, debs: [tinyDeb('1.0')], suite: 'stable', signer });
  const binary = path.join(repository, 'dists/stable/main/binary-amd64');
  const [former = ''] = readdirSync(path.join(binary, 'by-hash/SHA256'));
  const before = readFileSync(path.join(binary, 'by-hash/SHA256', former), 'utf8');
  publishApt({ repository, debs: [tinyDeb('2.0')], suite: 'stable', signer });
  const index = readFileSync(path.join(binary, 'Packages'), 'utf8');
  expect([...index.matchAll(/^Version: (.*)$/gm)].map(([, version]) => version)).toEqual(['1.0', '2.0']);
  expect(readFileSync(path.join(binary, 'by-hash/SHA256', former), 'utf8')).toBe(before);
  const inRelease = path.join(repository, 'dists/stable/InRelease');
  expect(verified(path.join(repository, 'fairlead.asc'), inRelease)).toBe(0);
  expect(readFileSync(inRelease, 'utf8')).not.toMatch(/MD5Sum|SHA1:| Release$/m);
});

test('a package of another suite is not offered to hosts that follow the first', () => {
  const repository = at('apt-suites');
  publishApt({ repository, debs: [tinyDeb('1.0')], suite: 'stable', signer });
  publishApt({ repository, debs: [tinyDeb('2.0~rc.1')], suite: 'candidate', signer });
  const index = (suite: string) =>
    readFileSync(path.join(repository, `dists/${suite}/main/binary-amd64/Packages`), 'utf8');
  expect(index('stable')).not.toContain('2.0~rc.1');
  expect(index('candidate')).toContain('2.0~rc.1');
});

test('a published package is never replaced by other bytes', () => {
  const repository = at('apt-same');
  publishApt({ repository, debs: [tinyDeb('1.0')], suite: 'stable', signer });
  const publish = () => publishApt({ repository, debs: [tinyDeb('1.0', 'other')], suite: 'stable', signer });
  expect(publish).toThrow('another package of this name was published');
});

test('a repository is not signed with a key that its hosts do not trust, unless that is confirmed', () => {
  const repository = at('apt-key');
  publishApt({ repository, debs: [], suite: 'stable', signer });
  writeTrialKey({ file: at('other.asc') });
  const other = openSigner({ key: at('other.asc') });
  try {
    const publish = { repository, debs: [], suite: 'stable', signer: other };
    expect(() => publishApt(publish)).toThrow('hosts trust the key');
    publishApt({ ...publish, isNewKey: true });
    const inRelease = path.join(repository, 'dists/stable/InRelease');
    expect(verified(path.join(repository, 'fairlead.asc'), inRelease)).toBe(0);
  } finally {
    other.close();
  }
});

test('a key with a passphrase signs with the passphrase file, and not without', () => {
  writeTrialKey({ file: at('locked.asc'), passphrase: 'correct horse' });
  writeFileSync(at('passphrase'), 'correct horse\n', { mode: 0o600 });
  writeFileSync(at('text'), 'text');
  const signWith = (passphraseFile?: string) => {
    const locked = openSigner({ key: at('locked.asc'), passphraseFile });
    try {
      locked.detach(at('text'));
    } finally {
      locked.close();
    }
  };
  expect(() => signWith()).toThrow();
  signWith(at('passphrase'));
  expect(readFileSync(at('text.asc'), 'utf8')).toContain('BEGIN PGP SIGNATURE');
});

test('a key that others may read, or a file with two keys, is refused', () => {
  writeTrialKey({ file: at('two.asc'), count: 2 });
  expect(() => openSigner({ key: at('two.asc') })).toThrow('it holds 2 secret keys');
  chmodSync(at('two.asc'), 0o640);
  expect(() => openSigner({ key: at('two.asc') })).toThrow('others may read it; run chmod 600');
});

test('closing a signer leaves no key on this machine', () => {
  const tmp = at('tmp');
  mkdirSync(tmp);
  const script = `import { openSigner } from ${JSON.stringify(path.join(ROOT, 'packaging/release/openpgp.ts'))};
    const signer = openSigner({ key: ${JSON.stringify(at('key.asc'))} }); signer.detach(${JSON.stringify(at('text'))}, ${JSON.stringify(at('text.2'))}); signer.close();`;
  execFileSync(process.execPath, ['--input-type=module', '-e', script], { env: { ...process.env, TMPDIR: tmp } });
  expect(readdirSync(tmp)).toEqual([]);
});

test.each<[string, string[], string]>([
  ['no key', [], 'give --key FILE'],
  ['a key in the repository', ['--key', path.join(ROOT, 'package.json')], 'keep the key elsewhere'],
  ['an unknown condition', ['--key', '/etc/hostname', '--without', 'haste'], 'no such condition: haste'],
])('the command is refused with %s', (_, args, said) => {
  const script = path.join(ROOT, 'packaging/release.ts');
  const { status, stderr } = spawnSync(process.execPath, [script, ...args], { encoding: 'utf8' });
  expect(stderr).toContain(said);
  expect(status).toBe(64);
});
