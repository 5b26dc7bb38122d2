/**
 * An APT repository that any web server can serve (https://wiki.debian.org/DebianRepository/Format), written by
 * apt-ftparchive(1). Packages come first and the signed index last, and each index is also stored under its hash: a host that
 * updates at this moment sees either the complete former state or the complete new one.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { fingerprintOf, type Signer } from './openpgp.ts';

export interface AptOptions {
  /** The repository's top directory; created if it does not exist. */
  repository: string;
  /** Packages to add. Existing ones stay. */
  debs: readonly string[];
  /** The suite of the repository that gets them: `stable`. */
  suite: string;
  signer: Signer;
  /** Hosts have to trust another key than before. */
  isNewKey?: boolean;
}

const ARCHS = ['amd64', 'arm64'];
const COMPONENT = 'main';
/** Beside `dists/`, so that hosts can fetch it. */
export const KEY_FILE = 'fairlead.asc';

/** Throws if a repository's hosts trust another key than the signer's. */
export function checkKey(repository: string, { fingerprint }: Signer): void {
  const keyFile = path.join(repository, KEY_FILE);
  if (!existsSync(keyFile)) return;
  const trusted = fingerprintOf(keyFile);
  if (trusted !== fingerprint)
    throw new Error(
      `cannot publish to ${repository}: hosts trust the key ${trusted}, and this is ${fingerprint}; give them the new key first, then --without key`,
    );
}

/** Adds packages. Throws, with nothing changed, if one was published with other bytes, or by another key. */
export function publishApt({ repository, debs, suite, signer, isNewKey = false }: AptOptions): void {
  if (!isNewKey) checkKey(repository, signer);
  // Each suite has a pool of its own, because apt-ftparchive lists everything in one.
  const pool = path.join('pool', suite, COMPONENT);
  const added = debs.map((deb) => ({ deb, to: path.join(repository, pool, path.basename(deb)) }));
  for (const { deb, to } of added)
    if (existsSync(to) && !readFileSync(to).equals(readFileSync(deb)))
      throw new Error(
        `cannot publish ${path.basename(deb)}: another package of this name was published; give it a new version`,
      );
  mkdirSync(path.join(repository, pool), { recursive: true });
  for (const { deb, to } of added) {
    copyFileSync(deb, `${to}.new`);
    renameSync(`${to}.new`, to);
  }
  replace(path.join(repository, KEY_FILE), signer.publicKey);

  const dist = path.join('dists', suite);
  const archive = (...args: string[]) =>
    execFileSync('apt-ftparchive', args, { cwd: repository, stdio: ['ignore', 'pipe', 'inherit'] });
  for (const arch of ARCHS) {
    const dir = path.join(repository, dist, COMPONENT, `binary-${arch}`);
    const index = archive('--arch', arch, ...STRONG, 'packages', pool);
    mkdirSync(dir, { recursive: true });
    replace(path.join(dir, 'Packages'), index);
    replace(path.join(dir, 'Packages.gz'), gzipSync(index, { level: 9 }));
  }
  const fields = {
    Origin: 'fairlead',
    Label: 'fairlead',
    Suite: suite,
    Codename: suite,
    Architectures: ARCHS.join(' '),
    Components: COMPONENT,
    'Acquire-By-Hash': 'yes',
  };
  const described = Object.entries(fields).flatMap(([name, value]) => [
    '-o',
    `APT::FTPArchive::Release::${name}=${value}`,
  ]);
  const release = archive(...STRONG, ...INDEXES, ...described, 'release', dist);
  const at = (name: string) => path.join(repository, dist, name);
  writeFileSync(at('Release.new'), release);
  signer.detach(at('Release.new'), at('Release.gpg.new'));
  signer.clear(at('Release.new'), at('InRelease.new'));
  for (const name of ['Release', 'Release.gpg', 'InRelease']) renameSync(at(`${name}.new`), at(name));
}

/** apt does not accept an index that is signed only with these. */
const STRONG = ['MD5', 'SHA1'].flatMap((weak) => ['-o', `APT::FTPArchive::${weak}=false`]);

/** Only indexes are listed, and not an earlier Release; each is linked under its hash, and the former three stay there. */
const INDEXES = [
  ...['-o', 'APT::FTPArchive::DoByHash=true'],
  ...['-o', 'APT::FTPArchive::Release::Default-Patterns=false'],
  ...['-o', 'APT::FTPArchive::Release::Patterns::=Packages*'],
];

/** The former file may be linked under its hash, and must keep its bytes. */
function replace(file: string, content: string | Uint8Array): void {
  rmSync(`${file}.new`, { force: true });
  writeFileSync(`${file}.new`, content);
  renameSync(`${file}.new`, file);
}
