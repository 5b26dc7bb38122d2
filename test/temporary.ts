/**
 * A temporary directory for each test file, which is removed with what the file left in it. Files of the lab have none: they share
 * locks there.
 */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll } from 'vitest';

const before = process.env.TMPDIR;
const own = mkdtempSync(path.join(os.tmpdir(), 'fairlead-test-'));
// Processes without rights, which some files start, have to reach what is in it.
chmodSync(own, 0o755);
process.env.TMPDIR = own;

afterAll(() => {
  if (before === undefined) delete process.env.TMPDIR;
  else process.env.TMPDIR = before;
  rmSync(own, { recursive: true, force: true });
});
