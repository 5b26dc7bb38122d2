/**
 * Before the lab's tests: starts the Docker engine and builds the host images, with visible progress, since the first time takes
 * minutes.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { TestProject } from 'vitest/node';
import { ensureEngine } from './engine.ts';
import { ensureImage } from './image.ts';
import { removeShared } from './lab.ts';
import { whyNone } from './vm/need.ts';

/** @returns a function that removes, after the last file, what files shared */
export default async function setup(project: TestProject): Promise<() => Promise<unknown>> {
  const began = Date.now();
  const log = (line: string) => console.log(`lab ${((Date.now() - began) / 1000).toFixed(0)} s: ${line}`);
  const docker = await ensureEngine(log);
  for (const flavour of ['debian13', 'debian12'] as const) await ensureImage(docker, flavour, log);
  await whyNone();
  await removeShared(docker);
  const builtPackages = mkdtempSync(path.join(os.tmpdir(), 'fairlead-built-'));
  project.provide('builtPackages', builtPackages);
  return async () => {
    rmSync(builtPackages, { recursive: true, force: true });
    await removeShared(docker);
  };
}
