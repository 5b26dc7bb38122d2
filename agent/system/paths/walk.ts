/** Walks to a directory by descriptors, so that nobody can swap a part of the path under our feet. */
import fs from 'node:fs';
import path from 'node:path';
import { codeOf, exposedLink, exposedMount, ownPath, unsafe } from './errors.ts';

const { O_DIRECTORY, O_NOFOLLOW, O_RDONLY } = fs.constants;
const MAX_LINKS = 20;

export interface Exposed {
  /** Whether a container can write a directory. @param id its device and inode @param at its path, links resolved */
  has(id: string, at: string): boolean;
}

const NOTHING_EXPOSED: Exposed = { has: () => false };

export interface WalkOptions {
  /** '' for the machine itself, or a directory that stands for `/`. */
  root: string;
  /** Makes missing directories (0755, the agent's own). */
  create: boolean;
  /** Directories and `directory/name` that must not be reached; see `ownIds`. */
  forbidden?: ReadonlySet<string>;
  /** Directories that containers can write: below them no link is followed and no mount is crossed. */
  exposed?: Exposed;
  /**
   * The path is what a container is to mount: its last part may be a file or missing, directories may belong to anybody,
   * and mounts are crossed, since disks are mounted below what other containers have.
   */
  isSource?: boolean;
  /** Whether a path is on a file system whose server may not answer: a source is not looked at any further there. */
  isRemote?(file: string): boolean;
}

/**
 * Walks part by part, as systemd-tmpfiles does (tmpfiles.d(5)): a step from a directory of one user into one of another
 * is refused, unless the first is root's; a link counts only where root made it, in a directory of root's. Below what a
 * container can write no link counts at all, and no mount is crossed: RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS and
 * RESOLVE_NO_XDEV of openat2(2), which Node does not have.
 * @returns a descriptor of the directory; of a source, of the last directory that was walked to
 * @throws AgentError `UnsafePath`, `OwnPath`, or the kernel's error
 */
export function openDirectory(
  directory: string,
  { root, create, forbidden, exposed = NOTHING_EXPOSED, isSource = false, isRemote }: WalkOptions,
): number {
  const top = () => fs.openSync(root === '' ? '/' : `${root}/.`, O_RDONLY | O_DIRECTORY);
  let dir = top();
  let links = 0;
  const rest = directory.split('/').filter(Boolean);
  let walked: string[] = [];
  /** The mount of the exposed directory that was walked into; null before that. */
  let below: string | null = null;
  try {
    for (let name = rest.shift(); name !== undefined; name = rest.shift()) {
      // `..` comes from links alone, and ends at the top as it does for the kernel.
      if (name === '.' || (name === '..' && walked.length === 0)) continue;
      // What `..` leads to changes when a container moves the directory.
      if (name === '..' && below !== null) throw exposedLink(directory, [...walked, name]);
      if (isSource && isRemote?.(`/${[...walked, name].join('/')}`)) return dir;
      const at = `/proc/self/fd/${dir}/${name}`;
      let stat = fs.lstatSync(at, { throwIfNoEntry: false });
      let isMade = false;
      if (stat === undefined && create) {
        isMade = makeDirectory(at);
        stat = fs.lstatSync(at);
      }
      const { uid: owner, mode } = fs.fstatSync(dir);
      const isAtTop = walked.length === 0;
      if (!isSource && stat && owner !== 0 && stat.uid !== owner) throw unsafe(directory, [...walked, name]);
      if (stat?.isSymbolicLink()) {
        if (below !== null) throw exposedLink(directory, [...walked, name]);
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
      if (isSource && !stat?.isDirectory()) {
        if (forbidden && isOwn(forbidden, idOf(fs.fstatSync(dir)), name, stat)) throw ownPath(directory);
        // The Docker engine creates what is missing, below a directory that was walked to.
        if (stat === undefined || rest.length === 0) return dir;
      }
      const next = fs.openSync(at, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
      const opened = fs.fstatSync(next);
      fs.closeSync(dir);
      dir = next;
      // What was looked at and what was opened may differ where somebody is racing us.
      if (!isSource && owner !== 0 && opened.uid !== owner) throw unsafe(directory, [...walked, name]);
      // The unit file's UMask= would leave it to root alone, with all that is below. It is no more open than what it lies in.
      if (isMade && stat !== undefined && idOf(stat) === idOf(opened))
        fs.fchmodSync(dir, isAtTop ? PARENT_MODE : PARENT_MODE & mode);
      if (forbidden?.has(idOf(opened))) throw ownPath(directory);
      if (name === '..') walked.pop();
      else walked.push(name);
      if (below !== null && !isSource && mountOf(dir, opened) !== below) throw exposedMount(directory, walked);
      if (below === null && exposed.has(idOf(opened), `/${walked.join('/')}`)) below = mountOf(dir, opened);
    }
    return dir;
  } catch (thrown) {
    fs.closeSync(dir);
    throw thrown;
  }
}

/** Of a parent that is missing and is nowhere declared. */
const PARENT_MODE = 0o755;

/** @returns whether it was made now */
function makeDirectory(at: string): boolean {
  try {
    fs.mkdirSync(at, PARENT_MODE);
    return true;
  } catch (thrown) {
    if (codeOf(thrown) !== 'EEXIST') throw thrown;
    return false;
  }
}

/**
 * Which mount an open directory is reached by: the mount id tells bind mounts of one file system apart (proc_pid_fdinfo(5)).
 * @param stat of the same directory
 */
export function mountOf(dir: number, { dev }: { dev: number | bigint }): string {
  const info = fs.readFileSync(`/proc/self/fdinfo/${dir}`, 'utf8');
  return `${dev} ${/^mnt_id:\s*(\d+)$/m.exec(info)?.[1] ?? ''}`;
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
