/** Access to the directories of files: which paths are forbidden, and below which paths links are not followed. */
import fs from 'node:fs';
import path from 'node:path';
import type { Exposures } from './exposed.ts';
import { NO_IDS, type OwnIds, ownIds } from './own-ids.ts';
import { createIsRemote } from './remote-mounts.ts';
import { openDirectory, refuseOwn, type WalkOptions } from './walk.ts';

export interface EntryOptions {
  /** '' for the machine itself, or a directory that stands for `/`. */
  root: string;
  /** Paths that nothing may reach, by whatever way. */
  own: readonly string[];
  /** Directories below `own` that are reached by their literal paths. */
  stores: readonly string[];
  /** Paths that containers can write. */
  exposures: Exposures;
}

export interface Entry {
  /** Whether a path lies in a store: there no link is followed, so nothing needs to be forbidden. */
  isStored(file: string): boolean;
  /** Identities that must not be reached on the way to a file. */
  forbiddenTo(file: string): OwnIds;
  /** Walks to a directory, or to what a container is to mount. @returns a descriptor @throws as `openDirectory` */
  walk(directory: string, options: Pick<WalkOptions, 'create' | 'forbidden' | 'isSource'>): number;
  /**
   * Walks to the directory of a file, whose name there is none of fairlead's own.
   * @param change missing directories are made @returns a descriptor @throws as `openDirectory`
   */
  enter(file: string, change: boolean): number;
}

/** Only root could replace fairlead's own directories, or mount them elsewhere, meanwhile. Names of those to come are known. */
const OWN_IDS_MS = 1_000;

export function createEntry({ root, own, stores, exposures }: EntryOptions): Entry {
  let known: { at: number; ids: OwnIds } | null = null;
  const forbiddenIds = (): OwnIds => {
    const now = performance.now();
    if (known === null || now - known.at > OWN_IDS_MS) known = { at: now, ids: ownIds(root, own) };
    else known.ids.lookAgain();
    return known.ids;
  };
  const isRemote = root === '' ? createIsRemote() : () => false;
  const belowStores = stores.map((s) => `${s}/`);
  const entry: Entry = {
    isStored: (file) => stores.includes(file) || belowStores.some((s) => file.startsWith(s)),
    forbiddenTo: (file) => (entry.isStored(file) ? NO_IDS : forbiddenIds()),
    walk: (directory, options) =>
      openDirectory(directory, { root, exposed: exposures.current(), isRemote, ...options }),
    enter(file, change) {
      const forbidden = entry.forbiddenTo(file);
      const dir = entry.walk(path.dirname(file), { create: change, forbidden });
      try {
        refuseOwn(dir, file, forbidden);
        return dir;
      } catch (thrown) {
        fs.closeSync(dir);
        throw thrown;
      }
    },
  };
  return entry;
}
