/** Stats and hashes of many files, in slices: how much there is to be read is often up to others. */
import { setImmediate } from 'node:timers/promises';
import { sizeOf } from '../../core/payload.ts';
import type { Desired, ResourceId } from '../../core/types.ts';
import type { FileStat } from '../../system/files/types.ts';
import type { FileHashes } from './hash.ts';
import type { FileSpec } from './spec.ts';

/** Bytes that are hashed before others have their turn: some 100 ms. */
const SLICE = 32 * 1024 * 1024;
/** A file of another size than declared differs anyway; history shall say from what to what if that costs nothing. */
const SHOWN = 1024 * 1024;

/** @returns stats by path, with the hash of each regular file that may be as it is declared */
export async function lookAtAll(
  hashes: FileHashes,
  paths: readonly string[],
  wants: ReadonlyMap<ResourceId, Desired<FileSpec>> | undefined,
  trustOwn: boolean | undefined,
): Promise<Map<string, FileStat | Error>> {
  const stats = new Map<string, FileStat | Error>();
  const isWanted = (path: string, { size }: FileStat): boolean => {
    const content = wants?.get(`file:${path}`)?.spec.content;
    return size <= SHOWN || (content !== undefined && size === sizeOf(content));
  };
  let rest = paths;
  for (;;) {
    let left = SLICE;
    const later: string[] = [];
    const wanted = (path: string, stat: FileStat): boolean => {
      if (!isWanted(path, stat)) return false;
      if (left <= 0) {
        later.push(path);
        return false;
      }
      left -= stat.size;
      return true;
    };
    for (const [path, stat] of hashes.look(rest, wanted, trustOwn)) stats.set(path, stat);
    if (later.length === 0) return stats;
    rest = later;
    await setImmediate();
  }
}
