/** The parts of a package besides fairlead itself, with the licence texts that have to accompany them. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { standardText } from './standard.ts';

export interface Component {
  name: string;
  version: string;
  /** An SPDX expression. */
  licence: string;
  text: string;
  /** Subresource integrity from the lock file: `sha512-…` in base64. Absent if it is not an npm package. */
  integrity?: string;
  /** Package URL, https://github.com/package-url/purl-spec */
  purl: string;
}

interface Lock {
  packages: Record<string, { version?: string; integrity?: string }>;
}

const PACKAGE = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//;
const LICENCE_FILE = /^(licen[cs]e|copying)(\.|-|$)/i;

export const purlOf = (name: string, version: string): string =>
  `pkg:npm/${name.replace('@', '%40')}@${encodeURIComponent(version)}`;

/**
 * @param inputs files of the bundle, relative to `root`
 * @returns their packages, by name and version. Throws if one states no licence.
 */
export function componentsOf(root: string, inputs: readonly string[]): Component[] {
  const lock = readLock(root);
  const dirs = new Set(inputs.map((file) => PACKAGE.exec(file)?.[1]).filter((dir) => dir !== undefined));
  const found = [...dirs].map((dir) => componentAt(root, dir, lock));
  const byName = new Map(found.map((c) => [`${c.name}@${c.version}`, c]));
  return [...byName.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, c]) => c);
}

export const readLock = (dir: string): Lock =>
  JSON.parse(readFileSync(path.join(dir, 'package-lock.json'), 'utf8')) as Lock;

/** @param dir of the package, relative to `root` */
export function componentAt(root: string, dir: string, lock: Lock): Component {
  const full = path.join(root, dir);
  const about = JSON.parse(readFileSync(path.join(full, 'package.json'), 'utf8')) as {
    name: string;
    version: string;
    license?: string;
    author?: string | { name?: string };
  };
  if (about.license === undefined) throw new Error(`${dir} states no licence; look at it before it is shipped`);
  const author = typeof about.author === 'string' ? about.author.replace(/ *[<(].*/, '') : about.author?.name;
  const integrity = lock.packages[dir]?.integrity;
  return {
    name: about.name,
    version: about.version,
    licence: about.license,
    text: textIn(full) ?? standardText(about.license, author ?? `the authors of ${about.name}`),
    ...(integrity === undefined ? {} : { integrity }),
    purl: purlOf(about.name, about.version),
  };
}

function textIn(dir: string): string | null {
  if (!existsSync(dir)) return null;
  const name = readdirSync(dir)
    .filter((file) => LICENCE_FILE.test(file))
    .sort()[0];
  return name === undefined ? null : readFileSync(path.join(dir, name), 'utf8');
}
