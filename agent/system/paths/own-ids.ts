/** Identities of forbidden paths, however they are reached: links, bind mounts and other cases lead to the same inodes. */
import fs from 'node:fs';
import path from 'node:path';

export interface OwnIds {
  /** @param id a directory's identity, or `identity/name` with the name in small letters */
  has(id: string): boolean;
  /** Whether there are none, so that nothing needs to be checked. */
  isEmpty: boolean;
  /**
   * Checks those whose directory did not exist again: it may have been created meanwhile, and a name in it is forbidden from then
   * on.
   */
  lookAgain(): void;
}

export const NO_IDS: OwnIds = { has: () => false, isEmpty: true, lookAgain: () => undefined };

/** @param own absolute paths below `root`; whether they exist or not, their names are forbidden where their directory exists */
export function ownIds(root: string, own: readonly string[]): OwnIds {
  const ids = new Set<string>();
  /** Names by their missing directory. */
  const missing = new Map<string, string[]>();
  const look = (parent: string, names: readonly string[]): boolean => {
    const there = fs.statSync(parent, { throwIfNoEntry: false });
    if (there === undefined) return false;
    for (const name of names) {
      ids.add(`${idOf(there)}/${name.toLowerCase()}`);
      const self = fs.statSync(path.join(parent, name), { throwIfNoEntry: false });
      if (self?.isDirectory()) ids.add(idOf(self));
    }
    return true;
  };
  for (const [parent, all] of Map.groupBy(own, (one) => path.dirname(root + one))) {
    const names = all.map((one) => path.basename(one));
    if (!look(parent, names)) missing.set(parent, names);
  }
  return {
    has: (id) => ids.has(id),
    isEmpty: own.length === 0,
    lookAgain() {
      for (const [parent, names] of missing) if (look(parent, names)) missing.delete(parent);
    },
  };
}

/** Device and inode. */
export const idOf = (stat: { dev: number | bigint; ino: number | bigint }): string => `${stat.dev}:${stat.ino}`;

interface Identified {
  dev: number | bigint;
  ino: number | bigint;
  isDirectory(): boolean;
}

/** Whether a name in a directory of identity `dir` is out of reach. @param there what has that name, if anything */
export const isOwn = (forbidden: OwnIds, dir: string, name: string, there: Identified | undefined): boolean =>
  !forbidden.isEmpty &&
  (forbidden.has(`${dir}/${name.toLowerCase()}`) || (there?.isDirectory() === true && forbidden.has(idOf(there))));
