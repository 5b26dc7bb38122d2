/** Before the lab's tests: the engine and the host images, with progress to be seen, since the first time takes minutes. */
import { ensureEngine } from './engine.ts';
import { ensureImage } from './image.ts';
import { removeShared } from './lab.ts';
import { whyNone } from './vm/need.ts';

/** @returns what takes down, after the last file, what files shared */
export default async function setup(): Promise<() => Promise<unknown>> {
  const began = Date.now();
  const log = (line: string) => console.log(`lab ${((Date.now() - began) / 1000).toFixed(0)} s: ${line}`);
  const docker = await ensureEngine(log);
  for (const flavour of ['debian13', 'debian12'] as const) await ensureImage(docker, flavour, log);
  await whyNone();
  await removeShared(docker);
  return () => removeShared(docker);
}
