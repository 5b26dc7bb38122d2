/** Directories in which something is being written just now: walked to and opened once for all writes side by side. */
import fs from 'node:fs';
import path from 'node:path';
import { idOf, refuseOwn } from './walk.ts';

export interface SharedDirectoriesOptions {
  /** '' for the machine itself, or a directory that stands for `/`. */
  root: string;
  /** Walks to the directory of `file`. @returns its descriptor */
  enter(file: string): number;
  /** What must not be reached on the way to `file`; see `ownIds`. */
  forbiddenTo(file: string): ReadonlySet<string>;
}

export interface SharedDirectories {
  /** @returns a descriptor of the directory of `file`, to be given back */
  borrow(file: string): number;
  giveBack(file: string, dir: number): void;
}

interface Open {
  dir: number;
  id: string;
  users: number;
}

export function createSharedDirectories({ root, enter, forbiddenTo }: SharedDirectoriesOptions): SharedDirectories {
  const open = new Map<string, Open>();
  const keyOf = (file: string) => `${forbiddenTo(file).size > 0} ${path.dirname(file)}`;
  /** Whether the path still leads to the very directory that was walked to. */
  const isThere = (file: string, { id }: Open): boolean => {
    const stat = fs.statSync(root + path.dirname(file), { throwIfNoEntry: false });
    return stat !== undefined && idOf(stat) === id;
  };
  return {
    borrow(file) {
      const key = keyOf(file);
      const there = open.get(key);
      if (there && isThere(file, there)) {
        refuseOwn(there.dir, file, forbiddenTo(file));
        there.users++;
        return there.dir;
      }
      const dir = enter(file);
      if (!there) open.set(key, { dir, id: idOf(fs.fstatSync(dir)), users: 1 });
      return dir;
    },
    giveBack(file, dir) {
      const key = keyOf(file);
      const there = open.get(key);
      if (there?.dir === dir && --there.users > 0) return;
      if (there?.dir === dir) open.delete(key);
      fs.closeSync(dir);
    },
  };
}
