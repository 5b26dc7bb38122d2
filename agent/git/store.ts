/**
 * The objects fetched so far: packs that isomorphic-git indexes and reads. Only a cache, but one that can be trusted:
 * a pack is in it whole or not at all, each object is hashed again when it is read, and it stays small.
 */
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { checkPack } from './pack.ts';
import { broken } from './packet.ts';

export type ObjectType = 'commit' | 'tree' | 'blob' | 'tag';

/** Reads objects by id. */
export interface Objects {
  has(oid: string): Promise<boolean>;
  /** @throws MissingObject, DamagedObject */
  read(oid: string, type: ObjectType): Promise<Uint8Array>;
}

export class MissingObject extends Error {}
/** What is on disk is not what was written: the store must be made anew. */
export class DamagedObject extends Error {}

export interface ObjectStore extends Objects {
  /** Takes in a pack, whole or not at all. @throws AgentError `ProtocolError` where the bytes are no whole pack */
  add(pack: AsyncIterable<Uint8Array>, limits: PackLimits): Promise<void>;
  /** Drops what is not in `keep` when there is much of it. Everything in `keep` must be here. */
  compact(keep: () => Promise<readonly string[]>): Promise<void>;
  /** Commits of which everything this host needs is here; newest last. */
  complete(): Promise<readonly string[]>;
  setComplete(commits: readonly string[]): Promise<void>;
}

export interface PackLimits {
  /** Bytes on the wire. */
  pack: number;
  /** Bytes of one object, inflated. */
  object: number;
}

const MAX_PACKS = 12;
const SLACK_BYTES = 4 * 1024 * 1024;

/** A view of the store for one run: what it learns of the disk is dropped with it. @param gitdir made if missing */
export function openObjects(gitdir: string): ObjectStore {
  const packs = path.join(gitdir, 'objects/pack');
  const incoming = path.join(gitdir, 'incoming');
  const completeFile = path.join(gitdir, 'complete.json');
  let ids: Set<string> | null = null;
  const read = new Map<string, Uint8Array>();
  let cache = {};

  async function known(): Promise<Set<string>> {
    if (ids !== null) return ids;
    const found = new Set<string>();
    for (const name of await listed(packs, '.idx'))
      for (const oid of indexIds(await readFile(path.join(packs, name)))) found.add(oid);
    ids = found;
    return found;
  }

  /**
   * From `incoming` to where readers look; the index last, since it makes the pack visible. Nothing waits for the disk:
   * what a power cut leaves torn does not hash to its name, and is fetched again.
   */
  async function publish(name: string): Promise<void> {
    await mkdir(packs, { recursive: true });
    for (const suffix of ['.pack', '.idx'])
      await rename(path.join(incoming, name + suffix), path.join(packs, name + suffix));
    ids = null;
    cache = {};
  }

  async function index(name: string): Promise<void> {
    const git = await import('isomorphic-git');
    await git.indexPack({ fs, dir: incoming, gitdir, filepath: `${name}.pack` }).catch((cause) => {
      throw broken(`its pack cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`);
    });
  }

  return {
    has: async (oid) => (await known()).has(oid),
    async read(oid, type) {
      if (!(await known()).has(oid)) throw new MissingObject(oid);
      const before = read.get(oid);
      if (before) return before;
      const bytes = await readVerified(gitdir, oid, type, cache);
      // Trees and commits are looked at again and again in one run, files once.
      if (type !== 'blob') read.set(oid, bytes);
      return bytes;
    },
    async add(pack, limits) {
      await rm(incoming, { recursive: true, force: true });
      await mkdir(incoming, { recursive: true, mode: 0o700 });
      const file = path.join(incoming, 'new.pack');
      const { objects, id } = await receive(pack, file, limits.pack);
      if (objects > 0) {
        checkPack(await readFile(file), limits.object);
        const name = `pack-${id}`;
        await rename(file, path.join(incoming, `${name}.pack`));
        await index(name);
        await publish(name);
      }
      await rm(incoming, { recursive: true, force: true });
    },
    async compact(keep) {
      const names = await listed(packs, '.pack');
      const sizes = await Promise.all(names.map(async (n) => (await stat(path.join(packs, n))).size));
      const total = sizes.reduce((a, b) => a + b, 0);
      if (names.length <= MAX_PACKS && total - Math.max(0, ...sizes) <= SLACK_BYTES) return;
      const git = await import('isomorphic-git');
      const { packfile } = await git.packObjects({ fs, gitdir, oids: [...new Set(await keep())], cache });
      if (packfile === undefined) return;
      const name = `pack-${Buffer.from(packfile.subarray(-20)).toString('hex')}`;
      if (!names.includes(`${name}.pack`)) {
        await rm(incoming, { recursive: true, force: true });
        await mkdir(incoming, { recursive: true, mode: 0o700 });
        await writeFile(path.join(incoming, `${name}.pack`), packfile);
        await index(name);
        await publish(name);
      }
      // All indexes first: from then on no reader looks into a pack whose bases are going.
      const old = names.map((n) => n.slice(0, -'.pack'.length)).filter((n) => n !== name);
      for (const suffix of ['.idx', '.pack'])
        for (const n of old) await rm(path.join(packs, n + suffix), { force: true });
      ids = null;
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

/** Reads with isomorphic-git and hashes what came: neither a bad disk nor a bad pack gets past. */
export async function readVerified(gitdir: string, oid: string, type: ObjectType, cache: object): Promise<Uint8Array> {
  const git = await import('isomorphic-git');
  const found = await git.readObject({ fs, gitdir, oid, format: 'content', cache }).catch((thrown) => {
    throw new DamagedObject(`${oid}: ${thrown instanceof Error ? thrown.message : String(thrown)}`, { cause: thrown });
  });
  const bytes = found.object as Uint8Array;
  const hash = createHash('sha1').update(`${found.type} ${bytes.length}\0`).update(bytes).digest('hex');
  if (hash !== oid) throw new DamagedObject(`${oid} has other content: ${hash}`);
  if (found.type !== type) throw broken(`${oid} is a ${found.type} where a ${type} belongs`);
  return bytes;
}

/** Writes the pack to disk as it comes, hashing it on the way: its last 20 bytes are the hash of all before them. */
async function receive(
  pack: AsyncIterable<Uint8Array>,
  file: string,
  limit: number,
): Promise<{ objects: number; id: string }> {
  const hash = createHash('sha1');
  const handle = await open(file, 'w', 0o600);
  let tail: Buffer = Buffer.alloc(0);
  let head: Buffer = Buffer.alloc(0);
  let size = 0;
  try {
    for await (const chunk of pack) {
      size += chunk.length;
      if (size > limit) throw broken(`its pack is larger than ${Math.round(limit / 1024 / 1024)} MiB`);
      if (head.length < 12) head = Buffer.concat([head, chunk]).subarray(0, 12);
      await handle.writeFile(chunk);
      const all = Buffer.concat([tail, chunk]);
      const cut = Math.max(0, all.length - 20);
      hash.update(all.subarray(0, cut));
      tail = Buffer.from(all.subarray(cut));
    }
  } finally {
    await handle.close();
  }
  if (size < 32 || head.subarray(0, 4).toString('latin1') !== 'PACK' || head.readUInt32BE(4) !== 2)
    throw broken('what it sent is no pack');
  const id = hash.digest('hex');
  if (id !== tail.toString('hex')) throw broken('its pack was cut or changed on the way (the checksum is wrong)');
  return { objects: head.readUInt32BE(8), id };
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
