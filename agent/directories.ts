/** Creates directories, and says why that failed. */
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';

/** Root only. */
const MODE = 0o700;

/**
 * Creates the directory and its parents, if they are missing. Throws the error of mkdir(2): Node's `recursive` alone says ENOENT of a
 * file system that is read only or broken, because it looks for the directory after the failure.
 */
export async function makeDirectories(dir: string): Promise<void> {
  try {
    await mkdir(dir, { recursive: true, mode: MODE });
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT') throw thrown;
    await mkdir(firstMissing(dir), { mode: MODE });
    throw thrown;
  }
}

function firstMissing(dir: string): string {
  const parent = path.dirname(dir);
  return parent === dir || existsSync(parent) ? dir : firstMissing(parent);
}
