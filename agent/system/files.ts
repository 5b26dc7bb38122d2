/** Files on the host, by descriptor: nobody but root can make a write land elsewhere than where it was declared. */
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { AgentError } from '../errors.ts';

const { O_DIRECTORY, O_NOFOLLOW, O_RDONLY, O_WRONLY, O_CREAT, O_EXCL } = fs.constants;

export interface FileStat {
  type: 'file' | 'directory' | 'link' | 'other';
  mode: number;
  uid: number;
  gid: number;
  size: number;
}

export interface WriteOptions {
  mode: number;
  uid: number;
  gid: number;
}

/** All paths are the host's; `root` is put before them. Every call throws AgentError with a sentence for people. */
export interface Files {
  /** undefined where there is nothing, or where a parent is missing. */
  stat(file: string): FileStat | undefined;
  read(file: string): Buffer;
  readlink(file: string): string;
  /** Atomic and durable: temp file in the same directory, owner, mode, fsync, rename, fsync of the directory. */
  write(file: string, content: Uint8Array, options: WriteOptions): void;
  mkdir(file: string, options: WriteOptions): void;
  link(file: string, target: string): void;
  setMeta(file: string, options: WriteOptions): void;
  /** Removes a file, a link, or an empty directory. Answers false where the directory is not empty. */
  remove(file: string): boolean;
}

const TEMP = '.fairlead-';
const MAX_LINKS = 20;

/** @param root '' for the machine itself, or a directory that stands for `/` */
export function createFiles(root: string): Files {
  const inParent = <T>(file: string, create: boolean, act: (at: string, dir: number) => T): T => {
    const dir = openDirectory(root, path.dirname(file), create);
    try {
      return act(`/proc/self/fd/${dir}/${path.basename(file)}`, dir);
    } finally {
      fs.closeSync(dir);
    }
  };
  const guarded = <T>(what: string, file: string, act: () => T): T => {
    try {
      return act();
    } catch (thrown) {
      throw explain(what, file, thrown);
    }
  };
  return {
    stat: (file) =>
      guarded('look at', file, () => {
        try {
          return inParent(file, false, (at) => toStat(fs.lstatSync(at)));
        } catch (thrown) {
          if (['ENOENT', 'ENOTDIR'].includes(codeOf(thrown))) return undefined;
          throw thrown;
        }
      }),
    read: (file) =>
      guarded('read', file, () =>
        inParent(file, false, (at) => {
          const fd = fs.openSync(at, O_RDONLY | O_NOFOLLOW);
          try {
            return fs.readFileSync(fd);
          } finally {
            fs.closeSync(fd);
          }
        }),
      ),
    readlink: (file) => guarded('read', file, () => inParent(file, false, (at) => fs.readlinkSync(at))),
    write: (file, content, options) =>
      guarded('write', file, () =>
        inParent(file, true, (at, dir) => {
          replaceVia(at, dir, path.basename(file), (temp) => {
            const fd = fs.openSync(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
            try {
              fs.writeFileSync(fd, content);
              fs.fchownSync(fd, options.uid, options.gid);
              fs.fchmodSync(fd, options.mode);
              fs.fsyncSync(fd);
            } finally {
              fs.closeSync(fd);
            }
          });
        }),
      ),
    link: (file, target) =>
      guarded('link', file, () =>
        inParent(file, true, (at, dir) =>
          replaceVia(at, dir, path.basename(file), (temp) => fs.symlinkSync(target, temp)),
        ),
      ),
    mkdir: (file, options) =>
      guarded('make', file, () =>
        inParent(file, true, (at, dir) => {
          fs.mkdirSync(at, 0o700);
          meta(at, options);
          fs.fsyncSync(dir);
        }),
      ),
    setMeta: (file, options) =>
      guarded('set the mode and owner of', file, () => inParent(file, false, (at) => meta(at, options))),
    remove: (file) =>
      guarded('remove', file, () =>
        inParent(file, false, (at, dir) => {
          try {
            if (fs.lstatSync(at).isDirectory()) fs.rmdirSync(at);
            else fs.unlinkSync(at);
            fs.fsyncSync(dir);
            return true;
          } catch (thrown) {
            if (codeOf(thrown) === 'ENOENT') return true;
            if (['ENOTEMPTY', 'EEXIST'].includes(codeOf(thrown))) return false;
            throw thrown;
          }
        }),
      ),
  };
}

/** Makes the new thing under a temporary name, then renames it over the old: readers see one or the other. */
function replaceVia(at: string, dir: number, name: string, make: (temp: string) => void): void {
  const prefix = `${TEMP}${name.slice(0, 100)}.`;
  for (const left of fs.readdirSync(`/proc/self/fd/${dir}`)) {
    // From a run that was cut off between making and renaming.
    if (left.startsWith(prefix)) fs.rmSync(`/proc/self/fd/${dir}/${left}`, { force: true });
  }
  const temp = `/proc/self/fd/${dir}/${prefix}${randomBytes(6).toString('hex')}`;
  try {
    make(temp);
    fs.renameSync(temp, at);
  } catch (thrown) {
    fs.rmSync(temp, { force: true });
    throw thrown;
  }
  fs.fsyncSync(dir);
}

function meta(at: string, { mode, uid, gid }: WriteOptions): void {
  const fd = fs.openSync(at, O_RDONLY | O_NOFOLLOW);
  try {
    fs.fchownSync(fd, uid, gid);
    fs.fchmodSync(fd, mode);
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

/**
 * Walks to a directory part by part, as systemd-tmpfiles does (tmpfiles.d(5)): a step from a directory of one user
 * into one of another is refused, unless the first is root's; a link counts only where root made it.
 * @returns a descriptor of the directory
 */
function openDirectory(root: string, directory: string, create: boolean): number {
  const open = (at: string) => fs.openSync(at, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  const top = () => fs.openSync(root === '' ? '/' : `${root}/.`, O_RDONLY | O_DIRECTORY);
  let dir = top();
  let links = 0;
  const rest = directory.split('/').filter(Boolean);
  const walked: string[] = [];
  try {
    for (let name = rest.shift(); name !== undefined; name = rest.shift()) {
      if (name === '.') continue;
      const at = `/proc/self/fd/${dir}/${name}`;
      let stat = fs.lstatSync(at, { throwIfNoEntry: false });
      if (stat === undefined && create) {
        try {
          fs.mkdirSync(at, 0o755);
        } catch (thrown) {
          if (codeOf(thrown) !== 'EEXIST') throw thrown;
        }
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
          walked.length = 0;
        }
        continue;
      }
      const next = open(at);
      const opened = fs.fstatSync(next);
      fs.closeSync(dir);
      dir = next;
      // What was looked at and what was opened may differ where somebody is racing us.
      if (owner !== 0 && opened.uid !== owner) throw unsafe(directory, [...walked, name]);
      walked.push(name);
    }
    return dir;
  } catch (thrown) {
    fs.closeSync(dir);
    throw thrown;
  }
}

function toStat(stat: fs.Stats): FileStat {
  const type = stat.isFile() ? 'file' : stat.isDirectory() ? 'directory' : stat.isSymbolicLink() ? 'link' : 'other';
  return { type, mode: stat.mode & 0o7777, uid: stat.uid, gid: stat.gid, size: stat.size };
}

const codeOf = (thrown: unknown): string => String((thrown as { code?: unknown }).code ?? '');

const unsafe = (directory: string, at: readonly string[]) =>
  new AgentError({
    code: 'UnsafePath',
    phase: 'apply',
    message: `${directory}: /${at.join('/')} belongs to another user than the directory it is in, or is a link that root did not make; fairlead does not follow it. Make every parent root's, or choose another path`,
  });

const SENTENCES: Record<string, string> = {
  ENOSPC: 'the disk is full; free some space',
  EDQUOT: 'the disk quota is used up',
  EROFS: 'the file system is read-only',
  EPERM: 'the kernel does not allow it; is the file immutable (lsattr)?',
  EACCES: 'permission denied; is the agent root?',
  EBUSY: 'it is busy: something is mounted there',
  EISDIR: 'there is a directory; remove it by hand if it can go',
  ENOTDIR: 'one of its parents is not a directory',
  ELOOP: 'there is a symbolic link where none may be',
  EEXIST: 'there is something else already',
  ENAMETOOLONG: 'the name is too long',
};
/** Worth another try without a new commit. */
const PASSING = ['ENOSPC', 'EDQUOT', 'EBUSY', 'EROFS'];

function explain(what: string, file: string, thrown: unknown): AgentError {
  if (thrown instanceof AgentError) return thrown;
  const code = codeOf(thrown);
  const why = SENTENCES[code] ?? (thrown instanceof Error ? thrown.message : String(thrown));
  return new AgentError({
    code: 'FileFailed',
    phase: 'apply',
    retry: PASSING.includes(code),
    message: `cannot ${what} ${file}: ${why}`,
    cause: thrown,
  });
}
