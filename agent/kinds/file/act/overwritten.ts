/** Bytes that repairs overwrite and purges remove: kept for later inspection, root-only and bounded. */
import { createHash } from 'node:crypto';
import type { Files, ForeignFile } from '../../../system/files/files.ts';
import { changedMsOf } from '../../../system/files/io.ts';

export interface Overwritten {
  /** Keeps bytes that a repair is about to overwrite. @returns their path, or why they are not kept */
  keepDrift(path: string): Promise<string>;
  /**
   * Keeps what one purge of a directory removes, within limits: others control its content, and must not displace what was kept
   * of other paths.
   * @returns a function that keeps one file and answers like `keepDrift`; null if it exceeds the limits
   */
  keepForeign(directory: string): (foreign: ForeignFile) => Promise<string | null>;
}

export interface OverwrittenOptions {
  files: Files;
  /** Directory on the host that only root can read. */
  dir: string;
  /** Creates that directory if it is missing. */
  ready(): Promise<void>;
  /** Limits for overwritten bytes; the oldest are deleted first. */
  maxDrift?: Room | undefined;
}

const META = { mode: 0o600, uid: -1, gid: -1 };
const MIB = 1024 * 1024;
const MAX_ONE = 16 * MIB;
/** Limits for one purge, for one directory, and for all directories. */
const PURGE = { count: 20, bytes: 8 * MIB };
const FOREIGN_ONE = { count: 40, bytes: 16 * MIB };
const FOREIGN_ALL = { count: 200, bytes: 64 * MIB };
const DRIFT_NAME = /^[0-9a-f]{32}$/;
/** Hash of the bytes, then hash of the directory. */
const FOREIGN_NAME = /^[0-9a-f]{32}\.[0-9a-f]{8}\.foreign$/;

export function createOverwritten({ files, dir, ready, maxDrift }: OverwrittenOptions): Overwritten {
  const limit = maxDrift ?? { count: 200, bytes: 64 * MIB };
  return {
    async keepDrift(path) {
      const stat = files.stat(path);
      if (stat?.type !== 'file') return 'not kept: it was not a file';
      if (stat.size > Math.min(MAX_ONE, limit.bytes)) return `not kept: ${stat.size} bytes are too many`;
      await ready();
      const name = `${dir}/${files.hash(path).slice(0, 32)}`;
      if (files.stat(name) === undefined) {
        makeRoom(pieces(DRIFT_NAME), { count: 1, bytes: stat.size }, limit);
        await files.copy(path, name, META, MAX_ONE);
      }
      return name;
    },
    keepForeign(directory) {
      const tag = `.${createHash('sha256').update(directory).digest('hex').slice(0, 8)}.foreign`;
      let left: Room | null = null;
      return async ({ stat, hash, copyTo }) => {
        if (stat.type !== 'file') return 'not kept: it was not a file';
        if (stat.size > Math.min(MAX_ONE, PURGE.bytes)) return `not kept: ${stat.size} bytes are too many`;
        if (left === null) {
          await ready();
          const all = pieces(FOREIGN_NAME);
          const rest = all.filter(({ file }) => !file.endsWith(tag));
          const own = makeRoom(
            all.filter(({ file }) => file.endsWith(tag)),
            PURGE,
            FOREIGN_ONE,
          );
          makeRoom([...rest, ...own].sort(byAge), PURGE, FOREIGN_ALL);
          left = { ...PURGE };
        }
        if (left.count === 0 || left.bytes < stat.size) return null;
        const name = `${dir}/${hash().slice(0, 32)}${tag}`;
        if (files.stat(name) === undefined) await copyTo(name, META, stat.size);
        left.count--;
        left.bytes -= stat.size;
        return name;
      };
    },
  };

  /** Kept files with matching names, oldest first. */
  function pieces(name: RegExp): Piece[] {
    const paths = files.list(dir).filter((one) => name.test(one));
    const stats = files.statAll(paths.map((one) => `${dir}/${one}`));
    return [...stats]
      .flatMap(([file, stat]) => (stat instanceof Error ? [] : [{ file, size: stat.size, at: changedMsOf(stat) }]))
      .sort(byAge);
  }

  /** Deletes the oldest until there is room for more. @returns those that stay */
  function makeRoom(kept: readonly Piece[], more: Room, most: Room): Piece[] {
    const stay = [...kept];
    let total = stay.reduce((sum, { size }) => sum + size, 0);
    while (stay.length + more.count > most.count || total + more.bytes > most.bytes) {
      const oldest = stay.shift();
      if (oldest === undefined) break;
      files.remove(oldest.file);
      total -= oldest.size;
    }
    return stay;
  }
}

interface Room {
  count: number;
  bytes: number;
}
interface Piece {
  file: string;
  size: number;
  at: number;
}
const byAge = (a: Piece, b: Piece): number => a.at - b.at;
