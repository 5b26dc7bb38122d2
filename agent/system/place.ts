/** Looks at a path of the host, without waiting for a file server that does not answer. */
import { opendir, stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

export type PlaceSeen =
  | { kind: 'missing' | 'unknown' }
  | { kind: 'file'; bytes: number }
  /** `names`: at most `MOST_NAMES` of them, in no order. */
  | { kind: 'directory'; names: readonly string[] };

export type LookAtPlace = (path: string) => Promise<PlaceSeen>;

const MOST_NAMES = 200;
const LIMIT_MS = 5_000;

/** @param root '' for this machine, or a directory that stands for `/` */
export const lookAtPlace =
  (root: string): LookAtPlace =>
  (path) =>
    Promise.race([look(`${root}${path}`), sleep(LIMIT_MS, { kind: 'unknown' } as const, { ref: false })]);

async function look(path: string): Promise<PlaceSeen> {
  try {
    const found = await stat(path);
    if (found.isFile()) return { kind: 'file', bytes: found.size };
    if (!found.isDirectory()) return { kind: 'unknown' };
    const names: string[] = [];
    for await (const { name } of await opendir(path)) {
      names.push(name);
      if (names.length === MOST_NAMES) break;
    }
    return { kind: 'directory', names };
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException;
    return { kind: code === 'ENOENT' || code === 'ENOTDIR' ? 'missing' : 'unknown' };
  }
}
