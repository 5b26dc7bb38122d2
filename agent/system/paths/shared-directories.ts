/** Directories of writes in progress: each is walked to and opened once for all concurrent writes. */
import fs from 'node:fs';
import path from 'node:path';
import { ownPath } from './errors.ts';
import { idOf, isOwn, type OwnIds } from './own-ids.ts';

export interface SharedDirectoriesOptions {
  /** '' for the machine itself, or a directory that stands for `/`. */
  root: string;
  /** Walks to the directory of `file`. @returns its descriptor */
  enter(file: string): number;
  /** Whether it lies in a directory of fairlead's that is reached by its literal path: nothing is forbidden on the way there. */
  isStored(file: string): boolean;
  /** Identities that must not be reached on the way to `file`. */
  forbiddenTo(file: string): OwnIds;
}

/** A directory that is open. */
export interface OpenDirectory {
  /** Its descriptor. */
  dir: number;
  /** Device and inode. */
  id: string;
}

export interface SharedDirectories {
  /** @returns the directory of `file`, to be given back; what is made there may replace a file, never a directory */
  borrow(file: string): OpenDirectory;
  /** Files of one key share a directory. */
  keyOf(file: string): string;
  /**
   * Descriptor of a directory that was opened a moment ago for another file with the same key.
   * @throws if `file` is out of reach
   */
  check(file: string, directory: OpenDirectory): void;
  giveBack(file: string, directory: OpenDirectory): void;
}

interface Shared extends OpenDirectory {
  users: number;
}

export function createSharedDirectories({
  root,
  enter,
  isStored,
  forbiddenTo,
}: SharedDirectoriesOptions): SharedDirectories {
  const open = new Map<string, Shared>();
  const keyOf = (file: string) => `${isStored(file)} ${path.dirname(file)}`;
  /** Whether the path still leads to the very directory that was walked to. */
  const isThere = (file: string, { id }: OpenDirectory): boolean => {
    const stat = fs.statSync(root + path.dirname(file), { throwIfNoEntry: false });
    return stat !== undefined && idOf(stat) === id;
  };
  // A directory of that name is in no danger, whosever it is.
  const check = (file: string, { id }: OpenDirectory): void => {
    if (isOwn(forbiddenTo(file), id, path.basename(file), undefined)) throw ownPath(file);
  };
  return {
    keyOf,
    check,
    borrow(file) {
      const key = keyOf(file);
      const there = open.get(key);
      if (there && isThere(file, there)) {
        check(file, there);
        there.users++;
        return there;
      }
      const dir = enter(file);
      const found = { dir, id: idOf(fs.fstatSync(dir)), users: 1 };
      if (!there) open.set(key, found);
      return found;
    },
    giveBack(file, directory) {
      const key = keyOf(file);
      const there = open.get(key);
      if (there === directory && --there.users > 0) return;
      if (there === directory) open.delete(key);
      fs.closeSync(directory.dir);
    },
  };
}
