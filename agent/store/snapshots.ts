/**
 * The files of the accepted commit, stored apart from the git objects, so that repairs need neither the server nor the object
 * store.
 */
import { createHash, randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { copyFile, link, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { deserialize, serialize } from 'node:v8';
import { type Content, createPayload, damaged, StoredFile } from '../core/payload/payload.ts';
import type { Checkout } from '../core/types.ts';
import { makeDirectories } from '../directories.ts';
import { readEnds, readWhole } from '../reading.ts';
import { syncDirectory, writeDurable } from './disk/durable-file.ts';
import { isUnwritable, unwritable } from './disk/unwritable.ts';

export interface Snapshots {
  /** Durable when it resolves. Throws AgentError `StateUnwritable`. */
  save(checkout: Checkout): Promise<void>;
  /** Deletes all other snapshots. */
  retain(commits: readonly string[]): Promise<void>;
  /** null if there is none, or if it cannot be read. */
  load(commit: string): Promise<Checkout | null>;
}

/** Small files are written together, in parts of this size. */
const PART = 1024 * 1024;

/**
 * @param dir root-only directory. A snapshot is `<commit>.snapshot`: the length of the head in 4 bytes, the head
 * (v8-serialised: the checkout, with the position of each file's bytes), the bytes of all files. Stored files are in
 * `<commit>.large`, hard-linked by their hash
 */
export function createSnapshots(dir: string): Snapshots {
  /** Needed by every run. It is the same object that the loader holds, so it costs no memory. */
  let last: Checkout | null = null;
  /** The snapshots that this process kept; null if unknown. */
  let retained: string | null = null;
  const fileOf = (commit: string) => path.join(dir, `${commit}.snapshot`);
  const largeOf = (commit: string) => path.join(dir, `${commit}.large`);
  return {
    async save(checkout) {
      const final = fileOf(checkout.info.commit);
      // This process wrote or read it, so it is there already.
      if (last === checkout && existsSync(final) && storedIn(checkout).every(isThere)) return;
      // A unique name: a half-written file of an agent that was killed is never renamed.
      const temp = `${final}.${randomUUID()}.tmp`;
      retained = null;
      try {
        await makeDirectories(dir);
        await keepStored(checkout, largeOf(checkout.info.commit));
        await writeDurable(temp, pack(checkout));
        await rename(temp, final);
        await syncDirectory(dir);
      } catch (thrown) {
        await rm(temp, { force: true }).catch(() => undefined);
        throw isUnwritable(thrown) ? unwritable(dir, thrown) : thrown;
      }
      last = checkout;
    },
    async retain(commits) {
      const keep = new Set(commits.flatMap((commit) => [fileOf(commit), largeOf(commit)]).map((f) => path.basename(f)));
      const now = [...keep].sort().join(' ');
      if (now === retained) return;
      for (const name of await readdir(dir).catch(() => []))
        if (!keep.has(name)) await rm(path.join(dir, name), { recursive: true, force: true });
      retained = now;
    },
    async load(commit) {
      if (last?.info.commit === commit && storedIn(last).every(isThere)) return last;
      const bytes = await readFile(fileOf(commit)).catch(() => null);
      if (bytes === null) return null;
      try {
        const checkout = await unpack(bytes, largeOf(commit));
        if (checkout?.info.commit !== commit) return null;
        last = checkout;
        return checkout;
      } catch {
        return null;
      }
    },
  };
}

type Place = { at: number; length: number } | { stored: string; size: number };
type Head = Omit<Checkout, 'files'> & {
  files: ReadonlyMap<string, Place>;
  executable: ReadonlySet<string>;
  length: number;
};

const isThere = ({ places }: StoredFile) => places.some((place) => existsSync(place));
const storedIn = ({ files }: Checkout): StoredFile[] => [...files.keys()].flatMap((name) => files.stored?.(name) ?? []);

/** Hard-links the files into `dir`, durably; copies them if the file system does not support links. */
async function keepStored(checkout: Checkout, dir: string): Promise<void> {
  const stored = storedIn(checkout);
  if (stored.length > 0) await makeDirectories(dir);
  for (const file of stored) {
    const to = path.join(dir, file.sha256);
    const from = file.places.find((place) => existsSync(place));
    if (from === undefined) throw damaged(file);
    if (from !== to) {
      await rm(to, { force: true });
      await link(from, to).catch(() => copyFile(from, to));
    }
    const handle = await open(to, 'r+');
    await handle.sync().finally(() => handle.close());
    file.keptAt(to);
  }
  if (stored.length > 0) await syncDirectory(dir);
}

/** The snapshot's bytes, in parts. */
function* pack(checkout: Checkout): Generator<Uint8Array> {
  // Files with the same bytes, as links have, share one position.
  const places = new Map<Uint8Array, { at: number; length: number }>();
  const files = new Map<string, Place>();
  let length = 0;
  for (const name of checkout.files.keys()) {
    const stored = checkout.files.stored?.(name);
    const bytes = stored ? undefined : checkout.files.get(name);
    if (stored) files.set(name, { stored: stored.sha256, size: stored.size });
    if (bytes === undefined) continue;
    const place = places.get(bytes) ?? { at: length, length: bytes.length };
    if (!places.has(bytes)) length += bytes.length;
    places.set(bytes, place);
    files.set(name, place);
  }
  const executable = new Set([...files.keys()].filter((name) => checkout.files.executable?.(name)));
  const head = serialize({ ...checkout, files, executable, length } satisfies Head);
  const size = Buffer.alloc(4);
  size.writeUInt32LE(head.length);
  let small: Uint8Array[] = [size, head];
  let together = head.length;
  for (const bytes of places.keys()) {
    if (together + bytes.length >= PART) {
      yield Buffer.concat(small);
      small = [];
      together = 0;
    }
    if (bytes.length >= PART) yield bytes;
    else {
      small.push(bytes);
      together += bytes.length;
    }
  }
  yield Buffer.concat(small);
}

/** @param large directory of its stored files @returns null if it is incomplete */
async function unpack(bytes: Buffer, large: string): Promise<Checkout | null> {
  const start = 4 + bytes.readUInt32LE(0);
  const head = deserialize(bytes.subarray(4, start)) as Head;
  const { files, executable, length, ...rest } = head;
  // Snapshots of older agents lack modes, and count as incomplete.
  if (!('executable' in head) || bytes.length !== start + length) return null;
  const slice = ({ at, length }: { at: number; length: number }) =>
    new Uint8Array(bytes.buffer, bytes.byteOffset + start + at, length);
  const content = new Map<string, Content>();
  for (const [name, place] of files) {
    if ('at' in place) {
      content.set(name, slice(place));
      continue;
    }
    const file = path.join(large, place.stored);
    if ((await stat(file).catch(() => null))?.size !== place.size) return null;
    content.set(name, new StoredFile(file, place.size, place.stored));
  }
  return { ...rest, files: createPayload(content, { read: readWhole, readEnds, sha256, executable }) };
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
