/** Stats and hashes of many files, in slices, because others may control how much there is to read. */
import { setImmediate } from 'node:timers/promises';
import { sizeOf } from '../../../core/payload/payload.ts';
import type { Desired, ResourceId } from '../../../core/types.ts';
import type { FileStat } from '../../../system/files/types.ts';
import type { FileSpec } from '../spec.ts';
import type { FileHashes } from './hash.ts';

/** Bytes that are hashed before other work gets its turn: about 100 ms. */
const SLICE = 32 * 1024 * 1024;
/** A file whose size differs is hashed up to this size only, to show the difference in history. */
const SHOWN = 1024 * 1024;

/** @returns stats by path, with the hash of each regular file that may match its declaration */
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
