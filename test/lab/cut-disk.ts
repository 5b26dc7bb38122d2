/**
 * A small disk of this machine that can be looked at as a power cut would leave it: an image with ext4, mounted by way of a loop
 * device. What was not synced lies in the mount's cache, and the image does not have it. So a cut takes a copy of a file, where the
 * virtual machine takes a minute (`vm/`).
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { unmountBelow } from './engine.ts';
import { run } from './run.ts';

const BYTES = 48 * 1024 * 1024;
/** In memory: only what the kernel gives to the disk matters, not how it gets there. */
const CUT_PLACE = '/dev/shm';
/**
 * The journal is written when it is asked for and else after ten minutes. Without `noauto_da_alloc` ext4 would write the content of a
 * file that is renamed over another one by itself.
 */
export const CUT_OPTIONS = 'noauto_da_alloc,commit=600';

export interface CutDisk {
  /** Where it is mounted. */
  readonly dir: string;
  /** All that was written so far survives. */
  settle(): Promise<void>;
  /** Loses power now: `look` sees what is on the disk, the journal replayed. The disk itself goes on. */
  cut<T>(look: (dir: string) => T | Promise<T>): Promise<T>;
  remove(): Promise<void>;
}

const NAME = /^fairlead-cut-(\d+)-/;

/** @returns a directory for disks, named after this process. Those of processes that were killed are unmounted and removed */
export async function cutPlace(): Promise<string> {
  for (const name of readdirSync(CUT_PLACE)) {
    const [, pid] = NAME.exec(name) ?? [];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) await removePlace(path.join(CUT_PLACE, name));
  }
  return mkdtempSync(path.join(CUT_PLACE, `fairlead-cut-${process.pid}-`));
}

/** What is still open in a disk, as after a test that failed, keeps it from nobody. */
export async function removePlace(place: string): Promise<void> {
  await unmountBelow(place);
  rmSync(place, { recursive: true, force: true });
}

export async function formatDisk(image: string): Promise<void> {
  await run(['mkfs.ext4', '-q', '-F', '-E', 'lazy_itable_init=0,lazy_journal_init=0', image]);
}

export async function createCutDisk(): Promise<CutDisk> {
  const work = await cutPlace();
  const image = path.join(work, 'disk');
  const dir = path.join(work, 'mnt');
  mkdirSync(dir);
  writeFileSync(image, '');
  truncateSync(image, BYTES);
  await formatDisk(image);
  await run(['mount', '-o', `loop,${CUT_OPTIONS}`, image, dir]);
  let cuts = 0;
  return {
    dir,
    settle: async () => void (await run(['sync', '-f', dir])),
    async cut(look) {
      const copy = path.join(work, `disk-${++cuts}`);
      const at = path.join(work, `mnt-${cuts}`);
      await run(['cp', '--sparse=always', image, copy]);
      mkdirSync(at);
      await run(['mount', '-o', 'loop', copy, at]);
      try {
        return await look(at);
      } finally {
        await run(['umount', at]);
        rmSync(copy);
      }
    },
    remove: () => removePlace(work),
  };
}
