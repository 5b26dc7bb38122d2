/**
 * The objects fetched so far: packs of our own, and large blobs beside them. Only a cache, but one that can be trusted:
 * each object is whole, so none needs another one to be read; each is hashed when it comes and when it is read from disk;
 * a pack is taken in whole or not at all; and it stays small.
 */
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { StoredFile } from '../../core/payload/payload.ts';
import { makeDirectories } from '../../directories.ts';
import { DamagedObject, type Identified, MissingObject, type Objects, verified, type Whole } from '../pack/objects.ts';
import type { Unpack } from '../pack/unpack.ts';
import type { PackLimits } from '../wire/budget.ts';
import { broken } from '../wire/packet.ts';
import { planCompaction } from './compact.ts';
import { openLarge, type Sized } from './large.ts';
import { openPackDirectory } from './pack-directory.ts';
import type { Recent } from './recent.ts';
import { type Received, receive } from './reception.ts';

export interface ObjectStore extends Objects {
  /**
   * Takes in a pack completely or not at all. Its objects may still be in memory until `settled` resolves.
   * @throws AgentError `ProtocolError` if the bytes are no complete pack, `FetchOverBudget` if the pack exceeds its limits
   */
  add(pack: AsyncIterable<Uint8Array>, limits: PackLimits): Promise<void>;
  /** Takes in the pack of one blob. */
  addOne(oid: string, pack: AsyncIterable<Uint8Array>, limits: PackLimits): Promise<void>;
  /** Resolves when all received objects are on disk. Nothing may be taken in afterwards. */
  settled(): Promise<void>;
  /** Drops objects that are not in `keep`, if there are many. Everything in `keep` must be stored. */
  compact(keep: () => Promise<readonly string[]>): Promise<void>;
  /** Commits of which everything this host needs is here; newest last. */
  complete(): Promise<readonly string[]>;
  setComplete(commits: readonly string[]): Promise<void>;
}

const LARGE_DIR = 'objects/large';
/** Bytes of new objects that stay in memory until a run ends, because they are read next. */
const HELD_BYTES = 64 * 1024 * 1024;
/** Bytes that are read from disk before others get a turn. */
const TURN = 1024 * 1024;
/** Cost of reading an object, besides its bytes. */
const OVERHEAD = 8 * 1024;

export interface StoreOptions {
  /** Made if missing. */
  gitdir: string;
  /** Shared by views of one repository. */
  recent: Recent;
  /** Path of the store at the time when its large files are read; default `gitdir`. */
  home?: string;
  unpack: Unpack;
}

/** A view of the store for one run; its knowledge of the disk is dropped with it. */
export function openObjects({ gitdir, recent, home = gitdir, unpack }: StoreOptions): ObjectStore {
  const packs = openPackDirectory(path.join(gitdir, 'objects/pack'));
  const incoming = path.join(gitdir, 'incoming');
  const completeFile = path.join(gitdir, 'complete.json');
  const large = openLarge(path.join(gitdir, LARGE_DIR));
  /** Hashed when they came. */
  const verifiedLarge = new Map<string, Sized>();
  let largeIds: Promise<Set<string>> | null = null;
  /** Received objects that are not on disk yet. */
  const fresh = new Map<string, Whole>();
  let freshBytes = 0;
  /** Commits and directories that were read. */
  const read = new Map<string, Whole>();
  let emptied: Promise<void> | null = null;
  let taken = 0;
  let sinceTurn = 0;
  let writing: Promise<void> = Promise.resolve();

  const knownLarge = () => (largeIds ??= large.ids().then((all) => new Set(all)));
  const isHere = async (oid: string) => fresh.has(oid) || (await packs.places()).has(oid);

  /** Reads available objects in one go, but yields in between. */
  async function fromDisk(oid: string): Promise<Whole | null> {
    const found = await packs.read(oid);
    sinceTurn += OVERHEAD + (found?.bytes.length ?? 0);
    if (sinceTurn > TURN) {
      sinceTurn = 0;
      await new Promise(setImmediate);
    }
    return found;
  }

  async function readLarge(oid: string): Promise<Whole> {
    const bytes = await large.read(oid);
    if (bytes === null) throw new DamagedObject(`${oid} is gone`);
    return { type: 'blob', bytes };
  }

  /** Type of the object that a delta is based on. */
  async function baseOf(oid: string): Promise<Whole | null> {
    const near = fresh.get(oid) ?? read.get(oid) ?? recent.get(oid) ?? (await fromDisk(oid));
    if (near !== null) return near;
    if (!(await knownLarge()).has(oid)) return null;
    const found = await readLarge(oid);
    verified(oid, 'blob', found);
    return found;
  }

  const makeRoom = () =>
    (emptied ??= rm(incoming, { recursive: true, force: true }).then(async () => {
      await makeDirectories(incoming);
    }));
  const cleanUp = async () => {
    emptied = null;
    await rm(incoming, { recursive: true, force: true });
  };
  const temporary = () => path.join(incoming, String(taken++));

  /**
   * Writes the objects that are in memory, without fsync: an object that a power cut tears no longer hashes to its name, and
   * is fetched again.
   */
  async function flush(): Promise<void> {
    const objects = [...fresh].map(([oid, object]) => ({ oid, ...object }));
    if (objects.length === 0) return;
    const staged = openPackDirectory(temporary());
    await makeRoom();
    await staged.write(objects, objects.length);
    await packs.adopt(staged);
    for (const { oid } of objects) fresh.delete(oid);
    freshBytes = 0;
  }
  /** Writes are serialised. */
  const flushed = (): Promise<void> => {
    writing = writing.then(flush);
    writing.catch(() => undefined);
    return writing;
  };

  async function come(pack: AsyncIterable<Uint8Array>, limits: PackLimits): Promise<Received> {
    await makeRoom();
    return receive(pack, { dir: temporary(), limits, heldBytes: HELD_BYTES, base: baseOf, unpack });
  }

  async function keepAll(came: Received): Promise<void> {
    await came.adoptInto(packs, large);
    for (const [oid, sized] of came.large) {
      (await knownLarge()).add(oid);
      verifiedLarge.set(oid, sized);
    }
    for (const [oid, object] of came.objects) {
      if (fresh.has(oid)) continue;
      fresh.set(oid, object);
      freshBytes += object.bytes.length;
    }
    if (freshBytes > HELD_BYTES) await flushed();
  }

  return {
    has: async (oid) => (await isHere(oid)) || (await knownLarge()).has(oid),
    async lacking(oids) {
      const all = await packs.places();
      const apart = await knownLarge();
      return oids.filter((oid) => !fresh.has(oid) && !all.has(oid) && !apart.has(oid));
    },
    async read(oid, type) {
      const before = fresh.get(oid) ?? read.get(oid);
      if (before?.type === type) {
        recent.note(oid, before);
        return before.bytes;
      }
      if (before === undefined && (await knownLarge()).has(oid)) return verified(oid, type, await readLarge(oid));
      if (!(await isHere(oid))) throw new MissingObject(oid);
      const found = before ?? recent.get(oid) ?? (await fromDisk(oid));
      if (found === null) throw new MissingObject(oid);
      if (found.type !== type) throw broken(`${oid} is a ${found.type} where a ${type} belongs`);
      // Trees and commits are looked at again and again in one run, files once.
      if (type !== 'blob') read.set(oid, found);
      recent.note(oid, found);
      return found.bytes;
    },
    async stored(oid) {
      if (!(await knownLarge()).has(oid)) return null;
      const found = verifiedLarge.get(oid) ?? (await large.verify(oid));
      if (found === null) throw new DamagedObject(`${oid} is gone, or has other content`);
      verifiedLarge.set(oid, found);
      return new StoredFile(path.join(home, LARGE_DIR, oid), found.size, found.sha256);
    },
    async add(pack, limits) {
      await keepAll(await come(pack, limits));
    },
    async addOne(oid, pack, limits) {
      const came = await come(pack, limits);
      if (came.count !== 1 || !(came.large.has(oid) || came.objects.get(oid)?.type === 'blob'))
        throw broken(`it sent something else than object ${oid}`);
      await keepAll(came);
    },
    settled: () => flushed().finally(cleanUp),
    async compact(keep) {
      const all = await packs.files();
      const plan = planCompaction(all);
      const apart = await knownLarge();
      if (plan === null && apart.size === 0) return;
      const kept = new Set(await keep());
      if (apart.size > 0) await large.retain(kept);
      if (plan === null) return;
      const { stays } = plan;
      const here = await packs.places();
      const oids = [...kept].filter(
        (oid) => !apart.has(oid) && (stays === null || path.basename(here.get(oid)?.file ?? '') !== stays.name),
      );
      const name = await packs.write(eachOf(oids), oids.length);
      await packs.remove(all.filter((pack) => pack.name !== name && pack !== stays).map((pack) => pack.name));
      largeIds = null;
    },
    async complete() {
      try {
        const list: unknown = JSON.parse(await readFile(completeFile, 'utf8'));
        return Array.isArray(list) ? list.filter((c): c is string => typeof c === 'string') : [];
      } catch {
        return [];
      }
    },
    async setComplete(commits) {
      await makeDirectories(gitdir);
      await writeFile(`${completeFile}.tmp`, JSON.stringify(commits));
      await rename(`${completeFile}.tmp`, completeFile);
    },
  };

  async function* eachOf(oids: readonly string[]): AsyncGenerator<Identified> {
    for (const oid of oids) {
      const found = await fromDisk(oid);
      if (found === null) throw new DamagedObject(`${oid} is gone`);
      yield { oid, ...found };
    }
  }
}
