/**
 * The objects fetched so far: packs that isomorphic-git indexes and reads, and large blobs beside them. Only a cache, but
 * one that can be trusted: a pack is in it whole or not at all, each object is hashed when it comes and when it is read
 * from disk, and it stays small.
 */
import fs from 'node:fs';
import { mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { StoredFile } from '../core/payload.ts';
import { resolveDeltas, type Whole } from './delta.ts';
import { LARGE, openLarge, type Sized } from './large.ts';
import { DamagedObject, MissingObject, type Objects, type ObjectType, readVerified, verified } from './objects.ts';
import { type PackedObject, type PackLimits, scanPack } from './pack.ts';
import { broken } from './packet.ts';

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
/** Packs side by side: what is small is made one early; the rest is dear to pack anew, and waits longer. */
const MAX_PACKS = 12;
const MAX_LARGER_PACKS = 40;
const SMALL_BYTES = 128 * 1024;
const SLACK_BYTES = 4 * 1024 * 1024;
/** Bytes of new objects that a view remembers, since what comes is read next. */
const HELD_BYTES = 4 * 1024 * 1024;

/**
 * A view of the store for one run: what it learns of the disk is dropped with it.
 * @param gitdir made if missing
 * @param home where it will be by the time that anybody looks for its large files
 */
export function openObjects(gitdir: string, home = gitdir): ObjectStore {
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
  /** Packs in `incoming` that nobody has needed the index of yet. */
  const received: string[] = [];
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
  async function publish(name: string): Promise<void> {
    const git = await import('isomorphic-git');
    const { oids } = await git.indexPack({ fs, dir: incoming, gitdir, filepath: `${name}.pack` }).catch((cause) => {
      // A full disk is no fault of the server.
      if (/^E[A-Z]+$/.test(cause?.code ?? '')) throw cause;
      throw broken(`its pack cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`);
    });
    await mkdir(packs, { recursive: true });
    for (const suffix of ['.pack', '.idx'])
      await rename(path.join(incoming, name + suffix), path.join(packs, name + suffix));
    const all = await known();
    for (const oid of oids) all.add(oid);
  }

  /** One after the other. */
  const published = (): Promise<void> => {
    for (const name of received.splice(0)) publishing = publishing.then(() => publish(name));
    publishing.catch(() => undefined);
    return publishing;
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

  /** What an object is that a delta is based on, without its type being known. */
  async function baseOf(oid: string): Promise<Whole | null> {
    const before = read.get(oid);
    if (before !== undefined || !(await known()).has(oid)) return before ?? null;
    await published();
    const found = await readVerified(gitdir, oid, null, cache);
    read.set(oid, found);
    return found;
  }

  /** @returns the pack's name in `incoming`, null where it is empty; and the ids of its objects, as far as they are clear */
  async function receive(pack: AsyncIterable<Uint8Array>, limits: PackLimits) {
    const file = temporary();
    const handle = await open(file, 'w', 0o600);
    const objects: PackedObject[] = [];
    const hold = (oid: string, type: string, bytes: Uint8Array) => {
      if (held + bytes.length > HELD_BYTES) return;
      held += bytes.length;
      read.set(oid, { type, bytes });
    };
    let bytes = 0;
    const found = (object: PackedObject) => {
      const { oid, type, content } = object;
      if (oid !== null && content !== null) hold(oid, type, content);
      bytes += content?.length ?? 0;
      objects.push(bytes > HELD_BYTES ? { ...object, content: null } : object);
    };
    try {
      const spool = (bytes: Uint8Array) => handle.writeFile(bytes);
      const { id } = await scanPack(pack, { limits, hold: LARGE, spool, found });
      const name = objects.length > 0 ? `pack-${id}` : null;
      if (name !== null) await rename(file, path.join(incoming, `${name}.pack`));
      const made = await resolveDeltas(objects, baseOf, HELD_BYTES);
      for (const { oid, type, bytes } of made.values()) hold(oid, type, bytes);
      return { name, oids: objects.map(({ oid, at }) => oid ?? made.get(at)?.oid ?? null) };
    } finally {
      await handle.close();
    }
  }

  return {
    has: async (oid) => (await known()).has(oid) || (await knownLarge()).has(oid),
    async read(oid, type) {
      const before = read.get(oid);
      if (before?.type === type) return before.bytes;
      if ((await knownLarge()).has(oid)) return readLarge(oid, type);
      if (!(await known()).has(oid)) throw new MissingObject(oid);
      await published();
      const { bytes } = await readVerified(gitdir, oid, type, cache);
      // Trees and commits are looked at again and again in one run, files once.
      if (type !== 'blob') read.set(oid, { type, bytes });
      return bytes;
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
      const { name, oids } = await receive(pack, limits);
      // An index is for later runs: what came is at hand.
      if (name !== null && !received.includes(name)) received.push(name);
      for (const oid of oids) if (oid !== null) all.add(oid);
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
      const names = await listed(packs, '.pack');
      const sizes = await Promise.all(names.map(async (n) => (await stat(path.join(packs, n))).size));
      const total = sizes.reduce((a, b) => a + b, 0);
      const most = total < SMALL_BYTES ? MAX_PACKS : MAX_LARGER_PACKS;
      const many = names.length > most || total - Math.max(0, ...sizes) > SLACK_BYTES;
      const apart = await knownLarge();
      if (!many && apart.size === 0) return;
      const all = new Set(await keep());
      if (apart.size > 0) await large.retain(all);
      if (!many) return;
      const git = await import('isomorphic-git');
      const oids = [...all].filter((oid) => !apart.has(oid));
      const { packfile } = await git.packObjects({ fs, gitdir, oids, cache });
      if (packfile === undefined) return;
      const name = `pack-${Buffer.from(packfile.subarray(-20)).toString('hex')}`;
      if (!names.includes(`${name}.pack`)) {
        await emptyIncoming();
        await writeFile(path.join(incoming, `${name}.pack`), packfile);
        await publish(name).finally(cleanUp);
      }
      // All indexes first: from then on no reader looks into a pack whose bases are going.
      const old = names.map((n) => n.slice(0, -'.pack'.length)).filter((n) => n !== name);
      for (const suffix of ['.idx', '.pack'])
        for (const n of old) await rm(path.join(packs, n + suffix), { force: true });
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

async function knownIn(packs: string): Promise<Set<string>> {
  const found = new Set<string>();
  for (const name of await listed(packs, '.idx'))
    for (const oid of indexIds(await readFile(path.join(packs, name)))) found.add(oid);
  return found;
}

/** The ids in a pack index of version 2 (git's Documentation/gitformat-pack). */
function indexIds(index: Buffer): string[] {
  if (index.length < 1072 || index.readUInt32BE(0) !== 0xff744f63) return [];
  const count = index.readUInt32BE(8 + 255 * 4);
  const ids: string[] = [];
  for (let at = 1032; ids.length < count && at + 20 <= index.length; at += 20)
    ids.push(index.toString('hex', at, at + 20));
  return ids;
}

async function listed(dir: string, suffix: string): Promise<string[]> {
  const names = await readdir(dir).catch(() => [] as string[]);
  return names.filter((n) => n.endsWith(suffix)).sort();
}
