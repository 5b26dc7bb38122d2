/** Walks to a directory by descriptors, so that nobody can swap a part of the path under our feet. */
import fs from 'node:fs';
import path from 'node:path';
import { codeOf, ownPath, unsafe } from './file-errors.ts';

const { O_DIRECTORY, O_NOFOLLOW, O_RDONLY } = fs.constants;
const MAX_LINKS = 20;

export interface WalkOptions {
  /** '' for the machine itself, or a directory that stands for `/`. */
  root: string;
  /** Makes missing directories (0755, the agent's own). */
  create: boolean;
  /** Directories and `directory/name` that must not be reached; see `ownIds`. */
  forbidden?: ReadonlySet<string>;
}

/**
 * Walks part by part, as systemd-tmpfiles does (tmpfiles.d(5)): a step from a directory of one user into one of another
 * is refused, unless the first is root's; a link counts only where root made it, in a directory of root's.
 * @returns a descriptor of the directory
 */
export function openDirectory(directory: string, { root, create, forbidden }: WalkOptions): number {
  const top = () => fs.openSync(root === '' ? '/' : `${root}/.`, O_RDONLY | O_DIRECTORY);
  let dir = top();
  let links = 0;
  const rest = directory.split('/').filter(Boolean);
  let walked: string[] = [];
  try {
    for (let name = rest.shift(); name !== undefined; name = rest.shift()) {
      // `..` comes from links alone, and ends at the top as it does for the kernel.
      if (name === '.' || (name === '..' && walked.length === 0)) continue;
      const at = `/proc/self/fd/${dir}/${name}`;
      let stat = fs.lstatSync(at, { throwIfNoEntry: false });
      if (stat === undefined && create) {
        makeDirectory(at);
        stat = fs.lstatSync(at);
      }
      const owner = fs.fstatSync(dir).uid;
      if (stat && owner !== 0 && stat.uid !== owner) throw unsafe(directory, [...walked, name]);
      if (stat?.isSymbolicLink()) {
        if (stat.uid !== 0 || owner !== 0) throw unsafe(directory, [...walked, name]);
        if (++links > MAX_LINKS) throw Object.assign(new Error('too many links'), { code: 'ELOOP' });
        const target = fs.readlinkSync(at);
        rest.unshift(...target.split('/').filter(Boolean));
        if (target.startsWith('/')) {
          fs.closeSync(dir);
          dir = top();
          walked = [];
        }
        continue;
      }
      const next = fs.openSync(at, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
      const opened = fs.fstatSync(next);
      fs.closeSync(dir);
      dir = next;
      // What was looked at and what was opened may differ where somebody is racing us.
      if (owner !== 0 && opened.uid !== owner) throw unsafe(directory, [...walked, name]);
      if (forbidden?.has(idOf(opened))) throw ownPath(directory);
      if (name === '..') walked.pop();
      else walked.push(name);
    }
    return dir;
  } catch (thrown) {
    fs.closeSync(dir);
    throw thrown;
  }
}

function makeDirectory(at: string): void {
  try {
    fs.mkdirSync(at, 0o755);
  } catch (thrown) {
    if (codeOf(thrown) !== 'EEXIST') throw thrown;
  }
}

/** Device and inode. */
export const idOf = (stat: { dev: number | bigint; ino: number | bigint }): string => `${stat.dev}:${stat.ino}`;

/**
 * Identities of paths that are out of reach, however they are come by: links, bind mounts and other cases lead to the same inodes.
 * @param own absolute paths below `root`
 */
export function ownIds(root: string, own: readonly string[]): Set<string> {
  const ids = new Set<string>();
  for (const one of own) {
    const self = fs.statSync(root + one, { throwIfNoEntry: false });
    if (self?.isDirectory()) ids.add(idOf(self));
    const parent = fs.statSync(path.dirname(root + one), { throwIfNoEntry: false });
    if (parent) ids.add(`${idOf(parent)}/${path.basename(one).toLowerCase()}`);
  }
  return ids;
}

interface Identified {
  dev: number | bigint;
  ino: number | bigint;
  isDirectory(): boolean;
}

/** Whether a name in a directory of identity `dir` is out of reach. @param there what has that name, if anything */
export const isOwn = (
  forbidden: ReadonlySet<string>,
  dir: string,
  name: string,
  there: Identified | undefined,
): boolean =>
  forbidden.size > 0 &&
  (forbidden.has(`${dir}/${name.toLowerCase()}`) || (there?.isDirectory() === true && forbidden.has(idOf(there))));

/** Refuses the last part of a path: a name in the open directory `dir`. */
export function refuseOwn(dir: number, file: string, forbidden: ReadonlySet<string>): void {
  const name = path.basename(file);
  const there = fs.lstatSync(`/proc/self/fd/${dir}/${name}`, { throwIfNoEntry: false });
  if (isOwn(forbidden, idOf(fs.fstatSync(dir)), name, there)) throw ownPath(file);
}
