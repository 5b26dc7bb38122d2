/**
 * The objects fetched so far: packs that isomorphic-git indexes and reads, and large blobs beside them. Only a cache, but
 * one that can be trusted: a pack is in it whole or not at all, each object is hashed when it comes and when it is read
 * from disk, and it stays small.
 */
import fs, { createReadStream } from 'node:fs';
import { mkdir, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { StoredFile } from '../core/payload.ts';
import { type PackFile, planCompaction } from './compact.ts';
import { resolveDeltas, type Whole } from './delta.ts';
import { LARGE, openLarge, type Sized } from './large.ts';
import { DamagedObject, MissingObject, type Objects, type ObjectType, readVerified, verified } from './objects.ts';
import { type PackedObject, type PackLimits, scanPack } from './pack.ts';
import { idsIn, knownIn, packFiles, WHOLE } from './pack-directory.ts';
import { broken } from './packet.ts';
import type { Recent } from './recent.ts';

export interface ObjectStore extends Objects {
  /**
   * Takes in a pack, whole or not at all. It may still be on its way to where other views see it: see `settled`.
   * @throws AgentError `ProtocolError` where the bytes are no whole pack
   */
  add(pack: AsyncIterable<Uint8Array>, limits: PackLimits): Promise<void>;
  /** Takes in the pack of one large blob. */
  addLarge(oid: string, pack: AsyncIterable<Uint8Array>, limits: PackLimits): Promise<void>;
  /** When all that was taken in lies where it belongs. Nothing is taken in after it. @throws AgentError `ProtocolError` */
  settled(): Promise<void>;
  /** Drops what is not in `keep` when there is much of it. Everything in `keep` must be here. */
  compact(keep: () => Promise<readonly string[]>): Promise<void>;
  /** Commits of which everything this host needs is here; newest last. */
  complete(): Promise<readonly string[]>;
  setComplete(commits: readonly string[]): Promise<void>;
}

const LARGE_DIR = 'objects/large';
/** Bytes of new objects that a view remembers, since what comes is read next. The host's own files stay in memory anyway. */
const HELD_BYTES = 64 * 1024 * 1024;
/** Fewer objects are read one by one. A pack is read through where that takes less time: each costs about as much as these bytes. */
const MANY = 16;
const BYTES_A_READ = 32 * 1024;
/** Of packs that were within their limits when they came. */
const NO_LIMITS: PackLimits = { pack: Number.MAX_SAFE_INTEGER, object: Number.MAX_SAFE_INTEGER };

interface Received extends Pick<PackFile, 'isWhole'> {
  /** Those of its objects whose ids are clear. */
  oids: readonly string[];
}

/**
 * A view of the store for one run: what it learns of the disk is dropped with it.
 * @param gitdir made if missing
 * @param recent shared by views of one repository
 * @param home where it will be by the time that anybody looks for its large files
 */
export function openObjects(gitdir: string, recent: Recent, home = gitdir): ObjectStore {
  const packs = path.join(gitdir, 'objects/pack');
  const incoming = path.join(gitdir, 'incoming');
  const completeFile = path.join(gitdir, 'complete.json');
  const large = openLarge(path.join(gitdir, LARGE_DIR));
  /** Hashed when they came. */
  const verifiedLarge = new Map<string, Sized>();
  let ids: Promise<Set<string>> | null = null;
  let largeIds: Promise<Set<string>> | null = null;
  const read = new Map<string, Whole>();
  let held = 0;
  let cache = {};
  let publishing: Promise<void> = Promise.resolve();
  /** Packs in `incoming` that nobody has needed the index of yet, and what came in them. */
  const received = new Map<string, Received>();
  const unindexed = new Set<string>();
  let emptied: Promise<void> | null = null;
  let taken = 0;

  const known = () => (ids ??= knownIn(packs));
  const knownLarge = () => (largeIds ??= large.ids().then((all) => new Set(all)));

  async function readLarge(oid: string, type: ObjectType): Promise<Uint8Array> {
    const bytes = await large.read(oid);
    if (bytes === null) throw new DamagedObject(`${oid} is gone`);
    return verified(oid, type, 'blob', bytes);
  }

  /**
   * Indexes the pack, and moves it from `incoming` to where readers look; the index last, since it makes the pack
   * visible. Nothing waits for the disk: what a power cut leaves torn does not hash to its name, and is fetched again.
   */
  async function publish(name: string, { isWhole, oids: expected }: Received): Promise<void> {
    const git = await import('isomorphic-git');
    const { oids } = await git.indexPack({ fs, dir: incoming, gitdir, filepath: `${name}.pack` }).catch((cause) => {
      // A full disk is no fault of the server.
      if (/^E[A-Z]+$/.test(cause?.code ?? '')) throw cause;
      throw broken(`its pack cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`);
    });
    // What a delta is based on may be damaged where it lies, and have been at hand in memory: the library leaves it out.
    const indexed = new Set(oids);
    const left = expected.find((oid) => !indexed.has(oid));
    if (left !== undefined) throw new DamagedObject(`what ${left} is based on cannot be read`);
    await mkdir(packs, { recursive: true });
    const show = (suffix: string) => rename(path.join(incoming, name + suffix), path.join(packs, name + suffix));
    await show('.pack');
    if (isWhole) await writeFile(path.join(packs, name + WHOLE), '');
    await show('.idx');
    const all = await known();
    for (const oid of oids) {
      all.add(oid);
      unindexed.delete(oid);
    }
  }

  /** One after the other. */
  const published = (): Promise<void> => {
    for (const [name, pack] of received) publishing = publishing.then(() => publish(name, pack));
    received.clear();
    publishing.catch(() => undefined);
    return publishing;
  };

  /** What lies in packs of before waits for none that came. */
  const readable = async (oid: string): Promise<void> => {
    if (unindexed.has(oid)) await published();
  };

  const fromDisk = async (oid: string, type: ObjectType | null): Promise<Whole> => {
    await readable(oid);
    return readVerified(gitdir, oid, type, cache);
  };

  const emptyIncoming = () =>
    (emptied ??= rm(incoming, { recursive: true, force: true }).then(async () => {
      await mkdir(incoming, { recursive: true, mode: 0o700 });
    }));
  const cleanUp = async () => {
    emptied = null;
    await rm(incoming, { recursive: true, force: true });
  };
  const temporary = () => path.join(incoming, `${taken++}.new`);

  const hold = (oid: string, type: string, bytes: Uint8Array) => {
    if (held + bytes.length > HELD_BYTES) return;
    held += bytes.length;
    read.set(oid, { type, bytes });
  };

  /** Reads a whole pack, in which no delta is based on anything elsewhere, from its beginning to its end; holds what is wanted. */
  async function readThrough(name: string, wanted: ReadonlySet<string>): Promise<void> {
    const { objects, add } = gathering();
    await scanPack(createReadStream(path.join(packs, `${name}.pack`)), { limits: NO_LIMITS, hold: LARGE, found: add });
    for (const { oid, type, content } of objects)
      if (oid !== null && content !== null && wanted.has(oid)) hold(oid, type, content);
    const made = await resolveDeltas(objects, async () => null, HELD_BYTES);
    for (const { oid, type, bytes } of made.values()) if (wanted.has(oid)) hold(oid, type, bytes);
  }

  /** Reads those packs through in which there are many of these. */
  async function readPacks(wanted: Set<string>): Promise<void> {
    for (const { name, bytes, isWhole } of await packFiles(packs).catch(() => [])) {
      const here = isWhole ? (await idsIn(packs, name)).filter((oid) => wanted.has(oid)) : [];
      if (here.length < MANY || bytes > Math.min(here.length * BYTES_A_READ, HELD_BYTES)) continue;
      // What is damaged is found out, and said, by whoever reads it.
      await readThrough(name, wanted).catch(() => undefined);
      for (const oid of here) if (read.has(oid)) wanted.delete(oid);
    }
  }

  /** What an object is that a delta is based on, without its type being known. */
  async function baseOf(oid: string): Promise<Whole | null> {
    const before = read.get(oid);
    if (before !== undefined || !(await known()).has(oid)) return before ?? null;
    const found = recent.get(oid) ?? (await fromDisk(oid, null));
    read.set(oid, found);
    return found;
  }

  /** @returns the pack's name in `incoming`, null where it is empty; whether it is whole; and the ids of its objects, as far as they are clear */
  async function receive(pack: AsyncIterable<Uint8Array>, limits: PackLimits) {
    const file = temporary();
    const handle = await open(file, 'w', 0o600);
    const { objects, add } = gathering();
    const found = (object: PackedObject) => {
      const { oid, type, content } = object;
      if (oid !== null && content !== null) hold(oid, type, content);
      add(object);
    };
    try {
      const spool = (bytes: Uint8Array) => handle.writeFile(bytes);
      const { id } = await scanPack(pack, { limits, hold: LARGE, spool, found });
      const name = objects.length > 0 ? `pack-${id}` : null;
      if (name !== null) await rename(file, path.join(incoming, `${name}.pack`));
      const made = await resolveDeltas(objects, baseOf, HELD_BYTES);
      for (const { oid, type, bytes } of made.values()) hold(oid, type, bytes);
      const isWhole = objects.every(({ base }) => typeof base !== 'string');
      return { name, isWhole, oids: objects.map(({ oid, at }) => oid ?? made.get(at)?.oid ?? null) };
    } finally {
      await handle.close();
    }
  }

  /** Makes one pack of objects that are here. @returns its name */
  async function repack(oids: string[]): Promise<string> {
    const git = await import('isomorphic-git');
    const { packfile } = await git.packObjects({ fs, gitdir, oids, cache });
    if (packfile === undefined) throw new Error('isomorphic-git answered no pack');
    const name = `pack-${Buffer.from(packfile.subarray(-20)).toString('hex')}`;
    await emptyIncoming();
    await writeFile(path.join(incoming, `${name}.pack`), packfile);
    await publish(name, { isWhole: true, oids }).finally(cleanUp);
    return name;
  }

  return {
    has: async (oid) => (await known()).has(oid) || (await knownLarge()).has(oid),
    async lacking(oids) {
      const [all, apart] = [await known(), await knownLarge()];
      return oids.filter((oid) => !all.has(oid) && !apart.has(oid));
    },
    async read(oid, type) {
      const before = read.get(oid);
      if (before?.type === type) {
        recent.note(oid, before);
        return before.bytes;
      }
      if ((await knownLarge()).has(oid)) return readLarge(oid, type);
      if (!(await known()).has(oid)) throw new MissingObject(oid);
      const lately = recent.get(oid);
      const found = lately?.type === type ? lately : await fromDisk(oid, type);
      // Trees and commits are looked at again and again in one run, files once.
      if (type !== 'blob') read.set(oid, found);
      recent.note(oid, found);
      return found.bytes;
    },
    async ahead(oids) {
      const all = await known();
      const apart = await knownLarge();
      const wanted = new Set(oids.filter((oid) => !read.has(oid) && all.has(oid) && !apart.has(oid)));
      if (wanted.size >= MANY) await readPacks(wanted);
      const near = new Map<string, Uint8Array>();
      for (const oid of oids) {
        const found = read.get(oid);
        if (found?.type === 'blob') near.set(oid, found.bytes);
      }
      return near;
    },
    async stored(oid) {
      if (!(await knownLarge()).has(oid)) return null;
      const found = verifiedLarge.get(oid) ?? (await large.verify(oid));
      if (found === null) throw new DamagedObject(`${oid} is gone, or has other content`);
      verifiedLarge.set(oid, found);
      return new StoredFile(path.join(home, LARGE_DIR, oid), found.size, found.sha256);
    },
    async add(pack, limits) {
      const all = await known();
      await emptyIncoming();
      const { name, isWhole, oids } = await receive(pack, limits);
      // An index is for later runs: what came is at hand.
      if (name !== null) received.set(name, { isWhole, oids: oids.filter((oid) => oid !== null) });
      for (const oid of oids) {
        if (oid === null) continue;
        if (!all.has(oid)) unindexed.add(oid);
        all.add(oid);
      }
      // What a delta makes is not known before it is indexed; everything else may be, while more is asked for.
      if (oids.includes(null)) await published();
    },
    async addLarge(oid, pack, limits) {
      await emptyIncoming();
      verifiedLarge.set(oid, await large.add(oid, pack, limits, temporary()));
      (await knownLarge()).add(oid);
    },
    settled: () => published().finally(cleanUp),
    async compact(keep) {
      const all = await packFiles(packs);
      const plan = planCompaction(all);
      const apart = await knownLarge();
      if (plan === null && apart.size === 0) return;
      const kept = new Set(await keep());
      if (apart.size > 0) await large.retain(kept);
      if (plan === null) return;
      const { stays } = plan;
      const here = new Set(stays ? await idsIn(packs, stays.name) : []);
      const oids = [...kept].filter((oid) => !apart.has(oid) && !here.has(oid));
      const name = oids.length === 0 ? null : await repack(oids);
      // All indexes first: from then on no reader looks into a pack whose bases are going.
      const old = all.filter((pack) => pack.name !== name && pack !== stays);
      for (const suffix of ['.idx', WHOLE, '.pack'])
        for (const pack of old) await rm(path.join(packs, pack.name + suffix), { force: true });
      ids = null;
      largeIds = null;
      cache = {};
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
      await mkdir(gitdir, { recursive: true, mode: 0o700 });
      await writeFile(`${completeFile}.tmp`, JSON.stringify(commits));
      await rename(`${completeFile}.tmp`, completeFile);
    },
  };
}

/** The objects of a pack, and what is in them as far as it is not too much. */
function gathering() {
  const objects: PackedObject[] = [];
  let bytes = 0;
  const add = (object: PackedObject) => {
    bytes += object.content?.length ?? 0;
    objects.push(bytes > HELD_BYTES ? { ...object, content: null } : object);
  };
  return { objects, add };
}
