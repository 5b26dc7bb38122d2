/** Files on the host, by descriptor: nobody but root can make a write land elsewhere than where it was declared. */
import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Exec } from '../exec.ts';
import { createEntry } from '../paths/entry.ts';
import { codeOf, explain, ownPath } from '../paths/errors.ts';
import { createExposures, type Exposures } from '../paths/exposed.ts';
import { idOf, isOwn } from '../paths/own-ids.ts';
import { createSharedDirectories, type OpenDirectory } from '../paths/shared-directories.ts';
import { createCopy } from './copy.ts';
import { emptyDirectory, removeTreeAt } from './empty.ts';
import {
  createDirectorySync,
  hashAt,
  makeDirectory,
  namesIn,
  openFile,
  setMeta,
  sweep,
  toStat,
  withHash,
} from './io.ts';
import { answerTo, removeMany, removeName } from './remove-many.ts';
import type { FileStat, Files } from './types.ts';
import { MANY, makeFile, writeMany } from './write-many.ts';

const fsync = promisify(fs.fsync);

export type { FileStat, Files, ForeignFile } from './types.ts';

export interface FilesOptions {
  /** '' for the machine itself, or a directory that stands for `/`. */
  root: string;
  /** Paths that nothing may reach, by whatever way. */
  own?: readonly string[];
  /** Directories below `own` that are reached by their literal paths. */
  stores?: readonly string[];
  /** Paths that containers can write besides `stores`; missing if there is nobody to ask. */
  exposures?: Exposures;
  /** Runs sync(1); without it each file is made durable by itself. */
  exec?: Exec;
}

const TEMP = '.fairlead-';
const LENIENT = { throwIfNoEntry: false } as const;

export function createFiles({
  root,
  own = [],
  stores = [],
  exec,
  exposures = createExposures({ root, always: stores }),
}: FilesOptions): Files {
  /** Directories in which what an earlier process left behind was looked for. */
  const swept = new Set<string>();
  const syncDirectory = createDirectorySync();

  const entry = createEntry({ root, own, stores, exposures });
  const { enter, forbiddenTo, isStored } = entry;
  const shared = createSharedDirectories({ root, enter: (file) => enter(file, true), isStored, forbiddenTo });
  const atOf = (dir: number, file: string) => `/proc/self/fd/${dir}/${path.basename(file)}`;
  /** Acts on a name within its open directory. */
  const within = <T>(what: string, file: string, change: boolean, act: (at: string, dir: number) => T): T => {
    try {
      const dir = enter(file, change);
      try {
        return act(atOf(dir, file), dir);
      } finally {
        fs.closeSync(dir);
      }
    } catch (thrown) {
      throw explain(what, file, thrown);
    }
  };
  const tempIn = (directory: OpenDirectory, file: string): string => {
    sweep(directory, swept);
    // Its last part is 48 random bits (RFC 9562, version 4), of which Node keeps some in stock.
    return `/proc/self/fd/${directory.dir}/${TEMP}${path.basename(file).slice(0, 100)}.${randomUUID().slice(-12)}`;
  };
  /** Makes the new thing under a temporary name, then renames it over the old: readers see one or the other. */
  const replace = (what: string, file: string, make: (temp: string) => void): void =>
    within(what, file, true, (at, dir) => {
      const temp = tempIn({ dir, id: idOf(fs.fstatSync(dir)) }, file);
      try {
        make(temp);
        fs.renameSync(temp, at);
      } catch (thrown) {
        fs.rmSync(temp, { force: true });
        throw thrown;
      }
      fs.fsyncSync(dir);
    });

  const copyFrom = createCopy({ enter: (file) => enter(file, true), atOf, tempIn, syncDirectory });

  return {
    stat(file) {
      const found = this.statAll([file]).get(file);
      if (found instanceof Error) throw found;
      return found;
    },
    statAll(files, hashIf, before) {
      const found = new Map<string, FileStat | Error>();
      for (const [directory, members] of Map.groupBy(files, path.dirname)) {
        let dir: number;
        const forbidden = forbiddenTo(members.find(isStored) ?? directory);
        try {
          dir = entry.walk(directory, { create: false, forbidden });
        } catch (thrown) {
          if (['ENOENT', 'ENOTDIR'].includes(codeOf(thrown))) continue;
          for (const file of members) found.set(file, explain('look at', file, thrown));
          continue;
        }
        try {
          const id = forbidden.isEmpty ? '' : idOf(fs.fstatSync(dir));
          for (const file of members) {
            const at = atOf(dir, file);
            const stat = fs.lstatSync(at, LENIENT);
            const own = isOwn(forbidden, id, path.basename(file), stat);
            if (own) found.set(file, ownPath(file));
            else if (stat) found.set(file, withHash(at, file, toStat(stat, before?.(file)), hashIf));
          }
        } finally {
          fs.closeSync(dir);
        }
      }
      return found;
    },
    read: (file) =>
      within('read', file, false, (at) => {
        const fd = openFile(at);
        try {
          return fs.readFileSync(fd);
        } finally {
          fs.closeSync(fd);
        }
      }),
    hash: (file) => within('read', file, false, hashAt),
    readlink: (file) => within('read', file, false, (at) => fs.readlinkSync(at)),
    list: (directory, limit) => {
      try {
        const read = (at: string) => (limit === undefined ? fs.readdirSync(at) : namesIn(at, limit));
        return within('list', `${directory}/.`, false, read);
      } catch (thrown) {
        const { cause } = thrown as { cause?: unknown };
        if (['ENOENT', 'ENOTDIR'].includes(codeOf(cause))) return [];
        throw thrown;
      }
    },
    async write(file, content, options) {
      let directory: OpenDirectory | null = null;
      let temp: string | null = null;
      try {
        directory = shared.borrow(file);
        temp = tempIn(directory, file);
        const stat = await makeFile(temp, { content, options }, fsync);
        fs.renameSync(temp, atOf(directory.dir, file));
        temp = null;
        await syncDirectory(directory.dir);
        return stat;
      } catch (thrown) {
        if (temp !== null) fs.rmSync(temp, { force: true });
        throw explain('write', file, thrown);
      } finally {
        if (directory !== null) shared.giveBack(file, directory);
      }
    },
    async writeAll(entries) {
      if (exec !== undefined && entries.length >= MANY)
        return writeMany({ exec, shared, tempIn, syncDirectory }, entries);
      const failed = new Map<string, Error>();
      const written = new Map<string, FileStat>();
      await Promise.all(
        entries.map(({ file, content, options }) =>
          this.write(file, content, options).then(
            (stat) => void written.set(file, stat),
            (thrown) => void failed.set(file, thrown),
          ),
        ),
      );
      return { written, failed };
    },
    async copy(from, to, options, limit = Number.POSITIVE_INFINITY) {
      let dir: number | null = null;
      try {
        dir = enter(from, false);
        await copyFrom({ at: atOf(dir, from), from, to, options, limit });
      } catch (thrown) {
        throw explain('read', from, thrown);
      } finally {
        if (dir !== null) fs.closeSync(dir);
      }
    },
    link: (file, target) => replace('link', file, (temp) => fs.symlinkSync(target, temp)),
    async mkdir(file, options) {
      let dir: number | null = null;
      try {
        dir = enter(file, true);
        const made = makeDirectory(atOf(dir, file), options);
        try {
          // Both have ended before either is closed.
          for (const sync of await Promise.allSettled([fsync(made), syncDirectory(dir)]))
            if (sync.status === 'rejected') throw sync.reason;
        } finally {
          fs.closeSync(made);
        }
      } catch (thrown) {
        throw explain('make', file, thrown);
      } finally {
        if (dir !== null) fs.closeSync(dir);
      }
    },
    setMeta: (file, options) => within('set the mode and owner of', file, true, (at) => setMeta(at, file, options)),
    remove: (file) => {
      let dir: number | null = null;
      try {
        dir = enter(file, false);
        removeName(atOf(dir, file));
        fs.fsyncSync(dir);
        return true;
      } catch (thrown) {
        const answer = answerTo(file, thrown);
        if (answer instanceof Error) throw answer;
        return answer;
      } finally {
        if (dir !== null) fs.closeSync(dir);
      }
    },
    checkSource(source) {
      try {
        fs.closeSync(entry.walk(source, { create: false, forbidden: forbiddenTo(source), isSource: true }));
      } catch (thrown) {
        throw explain('mount', source, thrown);
      }
    },
    removeAll: (all) => removeMany({ enter: (file) => enter(file, false), syncDirectory }, all),
    async removeTree(directory) {
      let dir: number | null = null;
      try {
        dir = enter(directory, false);
        await removeTreeAt({ dir, name: path.basename(directory), directory });
        await syncDirectory(dir);
      } catch (thrown) {
        throw explain('remove', directory, thrown);
      } finally {
        if (dir !== null) fs.closeSync(dir);
      }
    },
    async empty(directory, keep, before) {
      let dir: number | null = null;
      try {
        dir = enter(`${directory}/.`, false);
        const forbidden = forbiddenTo(directory);
        return await emptyDirectory({
          dir,
          directory,
          keep,
          forbidden,
          before: async ({ at, ...foreign }) =>
            before?.({
              ...foreign,
              hash: () => hashAt(at),
              copyTo: (to, options, limit = Number.POSITIVE_INFINITY) =>
                copyFrom({ at, from: `${directory}/${foreign.name}`, to, options, limit }),
            }),
        });
      } catch (thrown) {
        throw explain('empty', directory, thrown);
      } finally {
        if (dir !== null) fs.closeSync(dir);
      }
    },
  };
}
