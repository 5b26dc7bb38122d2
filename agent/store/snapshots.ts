/** The accepted commit's files, kept apart from the git objects, so that repairs need neither server nor object store. */
import { createHash, randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { copyFile, link, mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { deserialize, serialize } from 'node:v8';
import { type Content, createPayload, damaged, StoredFile } from '../core/payload.ts';
import type { Checkout } from '../core/types.ts';
import { readEnds, readWhole } from '../reading.ts';
import { syncDirectory, writeDurable } from './durable-file.ts';
import { isUnwritable, unwritable } from './unwritable.ts';

export interface Snapshots {
  /** Durable when it resolves. Throws AgentError `StateUnwritable`. */
  save(checkout: Checkout): Promise<void>;
  /** Drops all others. */
  retain(commits: readonly string[]): Promise<void>;
  /** null when there is none, or when it cannot be read. */
  load(commit: string): Promise<Checkout | null>;
}

/** What is small is written together. */
const PART = 1024 * 1024;

/**
 * @param dir root-only directory; a snapshot is `<commit>.snapshot`: the length of the head in 4 bytes, the head
 *   (v8-serialised: the checkout with, for each file, where its bytes are), the bytes of all files. Stored files lie in
 *   `<commit>.large`, linked and not copied, by their hash.
 */
export function createSnapshots(dir: string): Snapshots {
  /** Asked for at every run: the same object that the loader holds, so that it weighs nothing. */
  let last: Checkout | null = null;
  /** What is there, as this process left it; null where that is not known. */
  let retained: string | null = null;
  const fileOf = (commit: string) => path.join(dir, `${commit}.snapshot`);
  const largeOf = (commit: string) => path.join(dir, `${commit}.large`);
  return {
    async save(checkout) {
      const final = fileOf(checkout.info.commit);
      // It lies there already, as this process wrote or read it.
      if (last === checkout && existsSync(final) && storedIn(checkout).every(isThere)) return;
      // A name of its own: what an agent that was killed left half written, nobody renames.
      const temp = `${final}.${randomUUID()}.tmp`;
      retained = null;
      try {
        await mkdir(dir, { recursive: true, mode: 0o700 });
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

/** Links them into `dir`, durably; copies where the file system takes no link. */
async function keepStored(checkout: Checkout, dir: string): Promise<void> {
  const stored = storedIn(checkout);
  if (stored.length > 0) await mkdir(dir, { recursive: true, mode: 0o700 });
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

/** The snapshot's bytes, part by part. */
function* pack(checkout: Checkout): Generator<Uint8Array> {
  // Names of the same bytes, as links make them, share a place.
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

/** @param large where its stored files lie. @returns null where it is not whole */
async function unpack(bytes: Buffer, large: string): Promise<Checkout | null> {
  const start = 4 + bytes.readUInt32LE(0);
  const head = deserialize(bytes.subarray(4, start)) as Head;
  const { files, executable, length, ...rest } = head;
  // An older agent kept no modes: what it wrote is not whole.
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
