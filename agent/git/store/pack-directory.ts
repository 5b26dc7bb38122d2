/** The directory of a store's packs, read object by object. */
import { open, readdir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { makeDirectories } from '../../directories.ts';
import { DamagedObject, type Identified, idOf, type Whole } from '../pack/objects.ts';
import { type Place, readIndex, unpackOne, writePack } from '../pack/own-pack.ts';
import type { PackFile } from './compact.ts';

export interface PackDirectory {
  /** Location of each object. @throws DamagedObject if there are more packs than a store ever has */
  places(): Promise<ReadonlyMap<string, Place>>;
  /** Null if it is missing. @throws DamagedObject if it differs from the written one */
  read(oid: string): Promise<Whole | null>;
  /** Packs as files, those that a crash left without an index included. */
  files(): Promise<PackFile[]>;
  /** Writes these objects, each once. @returns the name of their pack; null if there are none */
  write(objects: AsyncIterable<Identified> | Iterable<Identified>, count: number): Promise<string | null>;
  /** Takes the packs of another directory on the same file system. */
  adopt(other: PackDirectory): Promise<void>;
  remove(names: readonly string[]): Promise<void>;
  readonly dir: string;
}

const SUFFIXES = ['.idx', '.whole', '.pack'];
/** More than a store that is made smaller in time ever has. */
const MAX_PACKS = 1_000;
const MAX_OBJECTS = 2_000_000;
/** Maximum size of an object in a pack, in bytes; larger ones have a file of their own, except very wide directories. */
const MAX_OBJECT = 130 * 1024 * 1024;
/** Packs are read in pieces, some of which stay in memory, because objects are stored in the order of their use. */
const PIECE = 256 * 1024;
const PIECES = 32;

/** @param dir made when something is written */
export function openPackDirectory(dir: string): PackDirectory {
  let known: Promise<Map<string, Place>> | null = null;
  const pieces = createPieces();
  const places = () => (known ??= load(dir));
  const forget = () => {
    known = null;
    pieces.clear();
  };
  const self: PackDirectory = {
    dir,
    places,
    async read(oid) {
      const place = (await places()).get(oid);
      if (place === undefined) return null;
      try {
        const found = unpackOne(await pieces.read(place), MAX_OBJECT);
        const is = idOf(found);
        if (is !== oid) throw new DamagedObject(`it has other content: ${is}`);
        return found;
      } catch (thrown) {
        const why = thrown instanceof Error ? thrown.message : String(thrown);
        throw new DamagedObject(`${oid} in ${path.basename(place.file)}: ${why}`, { cause: thrown });
      }
    },
    async files() {
      const indexed = new Set(await listed(dir, '.idx'));
      return Promise.all(
        (await listed(dir, '.pack')).map(async (name) => {
          const { size: bytes } = await stat(path.join(dir, `${name}.pack`));
          return { name, bytes, isIndexed: indexed.has(name) };
        }),
      );
    },
    async write(objects, count) {
      await makeDirectories(dir);
      const name = await writePack(dir, objects, count);
      forget();
      return name;
    },
    async adopt(other) {
      const names = await listed(other.dir, '.idx');
      if (names.length === 0) return;
      await makeDirectories(dir);
      // The index last: it makes the pack count.
      for (const suffix of ['.pack', '.idx'])
        for (const name of names) await rename(path.join(other.dir, name + suffix), path.join(dir, name + suffix));
      forget();
    },
    async remove(names) {
      // All indexes first: from then on no reader looks into a pack that is going.
      for (const suffix of SUFFIXES) for (const name of names) await rm(path.join(dir, name + suffix), { force: true });
      forget();
    },
  };
  return self;
}

/** Removes a damaged index, so that its objects are fetched again. */
async function load(dir: string): Promise<Map<string, Place>> {
  const names = await listed(dir, '.idx');
  if (names.length > MAX_PACKS) throw new DamagedObject(`there are ${names.length} packs`);
  const found = new Map<string, Place>();
  for (const name of names) {
    const its = await readIndex(path.join(dir, name));
    if (its === null) await rm(path.join(dir, `${name}.idx`), { force: true });
    for (const [oid, place] of its ?? []) found.set(oid, place);
    if (found.size > MAX_OBJECTS) throw new DamagedObject(`there are more than ${MAX_OBJECTS} objects`);
  }
  return found;
}

/** Reads from packs by whole pieces, and keeps those that were used last. */
function createPieces() {
  const held = new Map<string, Promise<Buffer>>();
  const piece = (file: string, at: number): Promise<Buffer> => {
    const key = `${at} ${file}`;
    const found = held.get(key) ?? readAt(file, at * PIECE, PIECE);
    held.delete(key);
    held.set(key, found);
    found.catch(() => held.delete(key));
    for (const oldest of held.keys()) {
      if (held.size <= PIECES) break;
      held.delete(oldest);
    }
    return found;
  };
  return {
    async read({ file, start, end }: Place): Promise<Buffer> {
      const length = end - start;
      if (length <= 0) throw new DamagedObject('its pack is cut short');
      if (length > 2 * MAX_OBJECT) throw new DamagedObject('its pack has too much of it');
      if (length > PIECE) return readAt(file, start, length);
      const first = Math.floor(start / PIECE);
      const last = Math.floor((end - 1) / PIECE);
      const from = first * PIECE;
      const here = await piece(file, first);
      if (first === last) return here.subarray(start - from, end - from);
      return Buffer.concat([here.subarray(start - from), (await piece(file, last)).subarray(0, end - last * PIECE)]);
    },
    clear: () => held.clear(),
  };
}

async function readAt(file: string, start: number, length: number): Promise<Buffer> {
  const handle = await open(`${file}.pack`);
  try {
    const bytes = Buffer.allocUnsafeSlow(length);
    const { bytesRead } = await handle.read(bytes, 0, length, start);
    return bytes.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

/** Names without the suffix. */
async function listed(dir: string, suffix: string): Promise<string[]> {
  const names = await readdir(dir).catch(() => [] as string[]);
  return names
    .filter((name) => name.endsWith(suffix))
    .map((name) => name.slice(0, -suffix.length))
    .sort();
}
