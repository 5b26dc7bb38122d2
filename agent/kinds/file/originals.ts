/** What was on the host before fairlead took it over, and what its repairs overwrote: kept, root-only, to be put back or looked at. */
import { createHash } from 'node:crypto';
import type { ResourceId } from '../../core/types.ts';
import { AgentError } from '../../errors.ts';
import { changedMsOf } from '../../system/file-io.ts';
import type { FileStat, Files, ForeignFile } from '../../system/files.ts';

/** One path as it was. `none`: there was nothing, so putting it back is removing what fairlead made. */
interface Original {
  type: 'file' | 'directory' | 'link' | 'none';
  mode: number;
  uid: number;
  gid: number;
  target?: string;
}

interface Entry {
  id: ResourceId;
  /** All of it has been put back: the record means nothing any more. */
  restored: boolean;
  paths: Record<string, Original>;
}

export interface Originals {
  /** Paths kept for `id`; empty where none are, or where they have been put back. */
  paths(id: ResourceId): readonly string[];
  /** Ids that have a record of their own, by a function that tells. One look at the directory. */
  known(): (id: ResourceId) => boolean;
  /** Whether there was nothing at `path` before. */
  wasNothing(id: ResourceId, path: string): boolean;
  /** Whether all of `id` has been put back already. */
  restored(id: ResourceId): boolean;
  /** Keeps those of `paths` that are not kept yet, also where there is nothing. Durable when it resolves. */
  keep(id: ResourceId, paths: readonly string[]): Promise<void>;
  /** The same for many. @returns what failed, by id */
  keepAll(paths: ReadonlyMap<ResourceId, readonly string[]>): Promise<Map<ResourceId, unknown>>;
  /** Puts one path back and forgets it. */
  release(id: ResourceId, path: string): Promise<'restored' | 'removed' | 'occupied'>;
  /** Puts all of `id` back, and says so in the record. */
  restore(id: ResourceId): Promise<'restored' | 'removed' | 'occupied' | 'none'>;
  /** Forgets a record that is older than what is there now. */
  drop(id: ResourceId): void;
  /** Keeps bytes that a repair is about to overwrite. @returns where they lie, or why they are not kept */
  keepDrift(path: string): Promise<string>;
  /**
   * Keeps what one purge of a directory takes away, as far as its bounds go: others may put anything there, and must not push
   * out what was kept of other paths. @returns what keeps one file and answers as `keepDrift` does; null beyond its bounds
   */
  keepForeign(directory: string): (foreign: ForeignFile) => Promise<string | null>;
}

export interface OriginalsOptions {
  files: Files;
  /** Root-only directory on the host. */
  dir: string;
  /** Bounds of what repairs overwrote: the oldest goes first. */
  maxDrift?: { count: number; bytes: number };
}

export const ORIGINALS_DIR = '/var/lib/fairlead/originals';
const DRIFT = 'drift';
/** Where the bytes lie that repairs overwrote, on the host. */
export const DRIFT_DIR = `${ORIGINALS_DIR}/${DRIFT}`;
const META = { mode: 0o600, uid: -1, gid: -1 };
const MIB = 1024 * 1024;
const MAX_ONE = 16 * MIB;
/** What is there may be of any size, by whoever may write its directory; the largest payload is as large. */
export const MAX_ORIGINAL = 64 * MIB;
/** What one purge may keep, and what is kept of one directory and of all. */
const PURGE = { count: 20, bytes: 8 * MIB };
const FOREIGN_ONE = { count: 40, bytes: 16 * MIB };
const FOREIGN_ALL = { count: 200, bytes: 64 * MIB };
const DRIFT_NAME = /^[0-9a-f]{32}$/;
/** Hash of the bytes, hash of the directory. */
const FOREIGN_NAME = /^[0-9a-f]{32}\.[0-9a-f]{8}\.foreign$/;
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex').slice(0, 32);

const encode = (entry: Entry) => new TextEncoder().encode(JSON.stringify(entry));

export function createOriginals({ files, dir, maxDrift }: OriginalsOptions): Originals {
  const limit = maxDrift ?? { count: 200, bytes: 64 * MIB };
  const driftDir = `${dir}/${DRIFT}`;
  const fileOf = (id: ResourceId) => `${dir}/${sha256(id)}.json`;
  const bytesOf = (path: string) => `${dir}/${sha256(path)}.bytes`;
  const private_ = async () => {
    for (const one of [dir, driftDir])
      if (files.stat(one) === undefined) await files.mkdir(one, { mode: 0o700, uid: -1, gid: -1 });
  };

  /** Only this process writes them. */
  const cache = new Map<ResourceId, Entry | undefined>();
  const read = (id: ResourceId): Entry | undefined => {
    if (cache.has(id)) return cache.get(id);
    try {
      const there = files.stat(fileOf(id)) !== undefined;
      const entry = there ? (JSON.parse(files.read(fileOf(id)).toString('utf8')) as Entry) : undefined;
      cache.set(id, entry);
      return entry;
    } catch (thrown) {
      throw new AgentError({
        code: 'OriginalsUnreadable',
        phase: 'apply',
        message: `${fileOf(id)}, which says what was there before ${id}, cannot be read: ${thrown instanceof Error ? thrown.message : String(thrown)}; restore or delete it`,
      });
    }
  };
  const save = async (entry: Entry) => {
    cache.delete(entry.id);
    await files.write(fileOf(entry.id), encode(entry), META);
    cache.set(entry.id, entry);
  };

  const asItIs = async (path: string, stat: FileStat | undefined): Promise<Original> => {
    if (stat === undefined) return { type: 'none', mode: 0, uid: 0, gid: 0 };
    const { mode, uid, gid, type } = stat;
    if (type === 'other') throw special(path);
    if (type === 'file') await files.copy(path, bytesOf(path), META, MAX_ORIGINAL);
    return { type, mode, uid, gid, ...(type === 'link' ? { target: files.readlink(path) } : {}) };
  };

  const putBack = async (path: string, was: Original): Promise<'restored' | 'removed' | 'occupied'> => {
    const there = files.stat(path);
    const options = { mode: was.mode, uid: was.uid, gid: was.gid };
    if (was.type === 'none') return files.remove(path) ? 'removed' : 'occupied';
    if (there !== undefined && (there.type === 'directory') !== (was.type === 'directory') && !files.remove(path))
      return 'occupied';
    if (was.type === 'link') files.link(path, was.target ?? '');
    else if (was.type === 'file') await files.copy(bytesOf(path), path, options);
    else if (files.stat(path)?.type === 'directory') files.setMeta(path, options);
    else await files.mkdir(path, options);
    return 'restored';
  };

  return {
    paths(id) {
      const entry = read(id);
      return entry === undefined || entry.restored ? [] : Object.keys(entry.paths);
    },
    known() {
      const names = new Set(files.list(dir).filter((name) => name.endsWith('.json')));
      return (id) => names.size > 0 && names.has(`${sha256(id)}.json`);
    },
    wasNothing: (id, path) => read(id)?.paths[path]?.type === 'none',
    restored: (id) => read(id)?.restored ?? false,
    async keep(id, paths) {
      for (const thrown of (await this.keepAll(new Map([[id, paths]]))).values()) throw thrown;
    },
    async keepAll(all) {
      const failed = new Map<ResourceId, unknown>();
      const records: Entry[] = [];
      for (const [id, paths] of all) {
        try {
          const old = read(id);
          const known = old && !old.restored ? old.paths : {};
          const fresh = paths.filter((path) => known[path] === undefined);
          if (fresh.length === 0) continue;
          await private_();
          // The bytes first, then the record that names them.
          const kept: [string, Original][] = [];
          for (const path of fresh) kept.push([path, await asItIs(path, files.stat(path))]);
          records.push({ id, restored: false, paths: { ...known, ...Object.fromEntries(kept) } });
        } catch (thrown) {
          failed.set(id, thrown);
        }
      }
      for (const { id } of records) cache.delete(id);
      const { failed: unwritten } = await files.writeAll(
        records.map((entry) => ({ file: fileOf(entry.id), content: encode(entry), options: META })),
      );
      for (const entry of records) {
        const thrown = unwritten.get(fileOf(entry.id));
        if (thrown === undefined) cache.set(entry.id, entry);
        else failed.set(entry.id, thrown);
      }
      return failed;
    },
    async release(id, path) {
      const entry = read(id);
      const was = entry?.paths[path];
      if (entry === undefined || was === undefined) return 'removed';
      const outcome = await putBack(path, was);
      if (outcome === 'occupied') return outcome;
      const { [path]: _gone, ...paths } = entry.paths;
      await save({ ...entry, paths });
      files.remove(bytesOf(path));
      return outcome;
    },
    async restore(id) {
      const entry = read(id);
      if (entry === undefined || entry.restored) return 'none';
      const outcomes: string[] = [];
      // What lies deeper goes before what holds it.
      for (const [path, was] of Object.entries(entry.paths).sort(([a], [b]) => (a < b ? 1 : -1)))
        outcomes.push(await putBack(path, was));
      if (outcomes.includes('occupied')) return 'occupied';
      // Not deleted: a removal that is cut off here must not take away what it has just put back.
      await save({ ...entry, restored: true });
      for (const path of Object.keys(entry.paths)) files.remove(bytesOf(path));
      return outcomes.includes('restored') ? 'restored' : 'removed';
    },
    drop(id) {
      files.remove(fileOf(id));
      cache.delete(id);
    },
    async keepDrift(path) {
      const stat = files.stat(path);
      if (stat?.type !== 'file') return 'not kept: it was not a file';
      if (stat.size > Math.min(MAX_ONE, limit.bytes)) return `not kept: ${stat.size} bytes are too many`;
      await private_();
      const name = `${driftDir}/${files.hash(path).slice(0, 32)}`;
      if (files.stat(name) === undefined) {
        makeRoom(pieces(DRIFT_NAME), { count: 1, bytes: stat.size }, limit);
        await files.copy(path, name, META, MAX_ONE);
      }
      return name;
    },
    keepForeign(directory) {
      const tag = `.${sha256(directory).slice(0, 8)}.foreign`;
      let left: Room | null = null;
      return async ({ stat, hash, copyTo }) => {
        if (stat.type !== 'file') return 'not kept: it was not a file';
        if (stat.size > Math.min(MAX_ONE, PURGE.bytes)) return `not kept: ${stat.size} bytes are too many`;
        if (left === null) {
          await private_();
          const all = pieces(FOREIGN_NAME);
          const rest = all.filter(({ file }) => !file.endsWith(tag));
          const own = makeRoom(
            all.filter(({ file }) => file.endsWith(tag)),
            PURGE,
            FOREIGN_ONE,
          );
          makeRoom([...rest, ...own].sort(byAge), PURGE, FOREIGN_ALL);
          left = { ...PURGE };
        }
        if (left.count === 0 || left.bytes < stat.size) return null;
        const name = `${driftDir}/${hash().slice(0, 32)}${tag}`;
        if (files.stat(name) === undefined) await copyTo(name, META, stat.size);
        left.count--;
        left.bytes -= stat.size;
        return name;
      };
    },
  };

  /** What is kept of those names, oldest first. */
  function pieces(name: RegExp): Piece[] {
    const paths = files.list(driftDir).filter((one) => name.test(one));
    const stats = files.statAll(paths.map((one) => `${driftDir}/${one}`));
    return [...stats]
      .flatMap(([file, stat]) => (stat instanceof Error ? [] : [{ file, size: stat.size, at: changedMsOf(stat) }]))
      .sort(byAge);
  }

  /** Removes the oldest until there is room for more. @returns those that stay */
  function makeRoom(kept: readonly Piece[], more: Room, most: Room): Piece[] {
    const stay = [...kept];
    let total = stay.reduce((sum, { size }) => sum + size, 0);
    while (stay.length + more.count > most.count || total + more.bytes > most.bytes) {
      const oldest = stay.shift();
      if (oldest === undefined) break;
      files.remove(oldest.file);
      total -= oldest.size;
    }
    return stay;
  }
}

interface Room {
  count: number;
  bytes: number;
}
interface Piece {
  file: string;
  size: number;
  at: number;
}
const byAge = (a: Piece, b: Piece): number => a.at - b.at;

const special = (path: string) =>
  new AgentError({
    code: 'PathOccupied',
    phase: 'apply',
    message: `${path} is a socket, a pipe or a device, which fairlead does not replace; remove it by hand if it can go`,
  });
