/** Directories of tests that write much: in memory, where there is such a place, since a disk may take long for each fsync. */
import { existsSync, mkdtempSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/** @param name e.g. `store` @returns an empty directory; who asked removes it */
export const inMemory = (name: string): string =>
  mkdtempSync(path.join(existsSync('/dev/shm') ? '/dev/shm' : os.tmpdir(), `fairlead-${name}-`));
