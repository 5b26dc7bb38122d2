/** A directory of packs, and of their indexes. */
import { createHash } from 'node:crypto';
import { readdir, readFile, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import type { PackFile } from './compact.ts';

/** Suffix of an empty file beside a pack in which no object is a delta of one that lies elsewhere. */
export const WHOLE = '.whole';

/** Ids of all objects that can be read. An index that is damaged is removed: whoever reads by id would follow it all the same. */
export async function knownIn(packs: string): Promise<Set<string>> {
  const found = new Set<string>();
  for (const name of await listed(packs, '.idx')) {
    const ids = await indexIn(packs, name);
    if (ids === null) await rm(path.join(packs, `${name}.idx`), { force: true });
    for (const oid of ids ?? []) found.add(oid);
  }
  return found;
}

/** With an index or without: what a crash left without one is nothing to rely on. */
export async function packFiles(packs: string): Promise<PackFile[]> {
  const indexed = new Set(await listed(packs, '.idx'));
  const whole = new Set((await listed(packs, WHOLE)).filter((name) => indexed.has(name)));
  const names = await listed(packs, '.pack');
  return Promise.all(
    names.map(async (name) => {
      const { size: bytes } = await stat(path.join(packs, `${name}.pack`));
      return { name, bytes, isWhole: whole.has(name) };
    }),
  );
}

/** By its index; nothing where it has none, as a crash leaves it. */
export const idsIn = async (packs: string, name: string): Promise<string[]> =>
  (await indexIn(packs, name).catch(() => null)) ?? [];

const indexIn = async (packs: string, name: string) => indexIds(await readFile(path.join(packs, `${name}.idx`)));

/**
 * The ids in a pack index of version 2 (git's Documentation/gitformat-pack); null of one that was changed since it was
 * written: whoever follows wrong offsets from delta to delta may never arrive.
 */
function indexIds(index: Buffer): string[] | null {
  if (index.length < 1072 || index.readUInt32BE(0) !== 0xff744f63) return null;
  if (!createHash('sha1').update(index.subarray(0, -20)).digest().equals(index.subarray(-20))) return null;
  const count = index.readUInt32BE(8 + 255 * 4);
  const ids: string[] = [];
  for (let at = 1032; ids.length < count && at + 20 <= index.length; at += 20)
    ids.push(index.toString('hex', at, at + 20));
  return ids;
}

/** Names without the suffix. */
async function listed(dir: string, suffix: string): Promise<string[]> {
  const names = await readdir(dir).catch(() => [] as string[]);
  const found = names.filter((n) => n.endsWith(suffix)).sort();
  return found.map((n) => n.slice(0, -suffix.length));
}
