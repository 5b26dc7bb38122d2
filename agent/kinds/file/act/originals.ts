/** Originals of everything that fairlead took over on the host: kept, readable by root only, and restored later. */
import { createHash } from 'node:crypto';
import type { ResourceId } from '../../../core/types.ts';
import { AgentError } from '../../../errors.ts';
import type { FileStat, Files } from '../../../system/files/files.ts';
import { createOverwritten, type Overwritten, type OverwrittenOptions } from './overwritten.ts';

/** The original state of one path. `none`: there was nothing, so restoring it means to remove what fairlead created. */
interface Original {
  type: 'file' | 'directory' | 'link' | 'none';
  mode: number;
  uid: number;
  gid: number;
  target?: string;
}

interface Entry {
  id: ResourceId;
  /** All of it was restored, so the record is obsolete. */
  restored: boolean;
  paths: Record<string, Original>;
}

export interface Originals extends Overwritten {
  /** Paths kept for `id`; empty if there are none, or if they were restored. */
  paths(id: ResourceId): readonly string[];
  /** Reads the directory once and returns a function that says whether an id has a record. */
  known(): (id: ResourceId) => boolean;
  /** Whether there was nothing at `path` before. */
  wasNothing(id: ResourceId, path: string): boolean;
  /** Whether all of `id` was restored already. */
  restored(id: ResourceId): boolean;
  /** Keeps those of `paths` that are not kept yet, including paths without a file. Durable when it resolves. */
  keep(id: ResourceId, paths: readonly string[]): Promise<void>;
  /** The same for many ids. @returns failures by id */
  keepAll(paths: ReadonlyMap<ResourceId, readonly string[]>): Promise<Map<ResourceId, unknown>>;
  /** Restores one path and deletes its original. */
  release(id: ResourceId, path: string): Promise<'restored' | 'removed' | 'occupied'>;
  /** Restores all paths of `id`, and records that. */
  restore(id: ResourceId): Promise<'restored' | 'removed' | 'occupied' | 'none'>;
  /** Deletes a record that is older than the current file. */
  drop(id: ResourceId): void;
}

export interface OriginalsOptions {
  files: Files;
  /** Directory on the host that only root can read. */
  dir: string;
  /** Limits for overwritten bytes. */
  maxDrift?: OverwrittenOptions['maxDrift'];
}

export const ORIGINALS_DIR = '/var/lib/fairlead/originals';
const DRIFT = 'drift';
/** Directory on the host for bytes that repairs overwrote. */
export const DRIFT_DIR = `${ORIGINALS_DIR}/${DRIFT}`;
const META = { mode: 0o600, uid: -1, gid: -1 };
const MIB = 1024 * 1024;
/** Maximum size of an original: others control the size of existing files. The largest payload has the same limit. */
export const MAX_ORIGINAL = 64 * MIB;
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex').slice(0, 32);

const encode = (entry: Entry) => new TextEncoder().encode(JSON.stringify(entry));

export function createOriginals({ files, dir, maxDrift }: OriginalsOptions): Originals {
  const driftDir = `${dir}/${DRIFT}`;
  const fileOf = (id: ResourceId) => `${dir}/${sha256(id)}.json`;
  const bytesOf = (path: string) => `${dir}/${sha256(path)}.bytes`;
  const private_ = async () => {
    for (const one of [dir, driftDir])
      if (files.stat(one) === undefined) await files.mkdir(one, { mode: 0o700, uid: -1, gid: -1 });
  };

  const kept = createOverwritten({ files, dir: driftDir, ready: private_, maxDrift });
  /** A cache is possible because only this process writes the records. */
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
          // Writes the bytes first, then the record that names them.
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
      // Contents are removed before their directory.
      for (const [path, was] of Object.entries(entry.paths).sort(([a], [b]) => (a < b ? 1 : -1)))
        outcomes.push(await putBack(path, was));
      if (outcomes.includes('occupied')) return 'occupied';
      // The record is not deleted: a removal that is interrupted here must not remove what it has just restored.
      await save({ ...entry, restored: true });
      for (const path of Object.keys(entry.paths)) files.remove(bytesOf(path));
      return outcomes.includes('restored') ? 'restored' : 'removed';
    },
    drop(id) {
      files.remove(fileOf(id));
      cache.delete(id);
    },
    ...kept,
  };
}

const special = (path: string) =>
  new AgentError({
    code: 'PathOccupied',
    phase: 'apply',
    message: `${path} is a socket, a pipe or a device, which fairlead does not replace; remove it by hand if it can go`,
  });
