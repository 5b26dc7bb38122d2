/** Directories of tests that write much: in memory if possible, since a disk may take long for each fsync. */
import { existsSync, mkdtempSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/** @param name e.g. `store` @returns an empty directory; the caller removes it */
export const inMemory = (name: string): string =>
  mkdtempSync(path.join(existsSync('/dev/shm') ? '/dev/shm' : os.tmpdir(), `fairlead-${name}-`));
