/**
 * A small disk of this machine whose content after a power cut can be read: an image with ext4, mounted through a loop device.
 * Data without a sync is in the cache of the mount, and not in the image. So a cut is a copy of a file, while the virtual machine
 * needs a minute (`vm/`).
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { unmountBelow } from './engine.ts';
import { run } from './run.ts';

const BYTES = 48 * 1024 * 1024;
/** In memory: only the content that the kernel writes to the disk matters, not the way. */
const CUT_PLACE = '/dev/shm';
/**
 * The journal is written on a sync and otherwise after ten minutes. Without `noauto_da_alloc` ext4 would by itself write the
 * content of a file that is renamed over another one.
 */
export const CUT_OPTIONS = 'noauto_da_alloc,commit=600';

export interface CutDisk {
  /** The mount point. */
  readonly dir: string;
  /** Everything that was written so far survives. */
  settle(): Promise<void>;
  /** A power cut at this moment: `look` sees the content of the disk, with the journal replayed. The disk itself stays in use. */
  cut<T>(look: (dir: string) => T | Promise<T>): Promise<T>;
  remove(): Promise<void>;
}

const NAME = /^fairlead-cut-(\d+)-/;

/** @returns a directory for disks, named after this process. Those of killed processes are unmounted and removed */
export async function cutPlace(): Promise<string> {
  for (const name of readdirSync(CUT_PLACE)) {
    const [, pid] = NAME.exec(name) ?? [];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) await removePlace(path.join(CUT_PLACE, name));
  }
  return mkdtempSync(path.join(CUT_PLACE, `fairlead-cut-${process.pid}-`));
}

/** Files that are still open on a disk, as after a failed test, do not prevent its removal. */
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
