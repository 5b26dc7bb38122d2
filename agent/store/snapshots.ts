/** The accepted commit's files, kept apart from the git objects, so that repairs need neither server nor object store. */
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { deserialize, serialize } from 'node:v8';
import type { Checkout } from '../core/types.ts';
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
 *   (v8-serialised: the checkout with, for each file, where its bytes are), the bytes of all files. So a large file is
 *   not copied in memory.
 */
export function createSnapshots(dir: string): Snapshots {
  /** Asked for at every run: the same object that the loader holds, so that it weighs nothing. */
  let last: Checkout | null = null;
  const fileOf = (commit: string) => path.join(dir, `${commit}.snapshot`);
  return {
    async save(checkout) {
      const final = fileOf(checkout.info.commit);
      try {
        await mkdir(dir, { recursive: true, mode: 0o700 });
        await write(`${final}.tmp`, pack(checkout));
        await rename(`${final}.tmp`, final);
      } catch (thrown) {
        await rm(`${final}.tmp`, { force: true }).catch(() => undefined);
        throw isUnwritable(thrown) ? unwritable(dir, thrown) : thrown;
      }
      last = checkout;
    },
    async retain(commits) {
      const keep = new Set(commits.map((commit) => path.basename(fileOf(commit))));
      for (const name of await readdir(dir).catch(() => []))
        if (!keep.has(name)) await rm(path.join(dir, name), { force: true });
    },
    async load(commit) {
      if (last?.info.commit === commit) return last;
      const bytes = await readFile(fileOf(commit)).catch(() => null);
      if (bytes === null) return null;
      try {
        const checkout = unpack(bytes);
        if (checkout?.info.commit !== commit) return null;
        last = checkout;
        return checkout;
      } catch {
        return null;
      }
    },
  };
}

type Head = Omit<Checkout, 'files'> & { files: ReadonlyMap<string, { at: number; length: number }>; length: number };

/** The snapshot's bytes, part by part. */
function* pack(checkout: Checkout): Generator<Uint8Array> {
  // Names of the same bytes, as links make them, share a place.
  const places = new Map<Uint8Array, { at: number; length: number }>();
  let length = 0;
  for (const bytes of checkout.files.values()) {
    if (places.has(bytes)) continue;
    places.set(bytes, { at: length, length: bytes.length });
    length += bytes.length;
  }
  const files = new Map([...checkout.files].map(([name, bytes]) => [name, places.get(bytes) ?? { at: 0, length: 0 }]));
  const head = serialize({ ...checkout, files, length } satisfies Head);
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

/** @returns null where it is not whole */
function unpack(bytes: Buffer): Checkout | null {
  const start = 4 + bytes.readUInt32LE(0);
  const { files, length, ...rest } = deserialize(bytes.subarray(4, start)) as Head;
  if (bytes.length !== start + length) return null;
  const slice = ({ at, length }: { at: number; length: number }) =>
    new Uint8Array(bytes.buffer, bytes.byteOffset + start + at, length);
  return { ...rest, files: new Map([...files].map(([name, place]) => [name, slice(place)])) };
}

async function write(file: string, parts: Iterable<Uint8Array>): Promise<void> {
  const handle = await open(file, 'w', 0o600);
  try {
    await handle.writeFile(parts);
    await handle.sync();
  } finally {
    await handle.close();
  }
}
