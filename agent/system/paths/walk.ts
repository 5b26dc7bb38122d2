/** Walks to a directory by descriptors, so that nobody can swap a part of the path under our feet. */
import fs from 'node:fs';
import path from 'node:path';
import { codeOf, exposedLink, exposedMount, ownPath, unsafe } from './errors.ts';
import { idOf, isOwn, type OwnIds } from './own-ids.ts';

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
  /** Directories and `directory/name` that must not be reached; see own-ids.ts. */
  forbidden?: OwnIds;
  /** Directories that containers can write: below them no link is followed and no mount is crossed. */
  exposed?: Exposed;
  /**
   * The path is what a container is to mount: its last part may be a file or missing, directories may belong to anybody,
   * and mounts are crossed, since disks are mounted below what other containers have.
   */
  isSource?: boolean;
  /** Whether a path is on a file system whose server may not respond: the source is not checked any further from there. */
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
      // The target of `..` changes when a container moves the directory.
      if (name === '..' && below !== null) throw exposedLink(directory, [...walked, name]);
      if (isSource && isRemote?.(`/${[...walked, name].join('/')}`)) return dir;
      const at = `/proc/self/fd/${dir}/${name}`;
      const here = fs.fstatSync(dir);
      const { uid: owner, mode } = here;
      let stat = fs.lstatSync(at, { throwIfNoEntry: false });
      // Checked by its name as well, because it may not exist yet.
      if (forbidden && name !== '..' && isOwn(forbidden, idOf(here), name, stat)) throw ownPath(directory);
      let isMade = false;
      if (stat === undefined && create) {
        isMade = makeDirectory(at);
        forbidden?.lookAgain();
        stat = fs.lstatSync(at);
      }
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
        // The Docker engine creates what is missing, below a directory that was walked to.
        if (stat === undefined || rest.length === 0) return dir;
      }
      const next = fs.openSync(at, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
      const opened = fs.fstatSync(next);
      fs.closeSync(dir);
      dir = next;
      // The inspected and the opened directory may differ if somebody is racing us.
      if (!isSource && owner !== 0 && opened.uid !== owner) throw unsafe(directory, [...walked, name]);
      // The UMask= of the unit would leave the directory, with everything below it, to root alone. It is no more open than
      // its parent.
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

/** Mode of a missing parent that is not declared anywhere. */
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

/** Refuses the last part of a path: a name in the open directory `dir`. */
export function refuseOwn(dir: number, file: string, forbidden: OwnIds): void {
  const name = path.basename(file);
  const there = fs.lstatSync(`/proc/self/fd/${dir}/${name}`, { throwIfNoEntry: false });
  if (isOwn(forbidden, idOf(fs.fstatSync(dir)), name, there)) throw ownPath(file);
}
