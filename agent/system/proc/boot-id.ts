/** The id of the kernel's current boot (random(4)): as long as it is unchanged, data without a sync is still there. */
import { readFileSync } from 'node:fs';

/** @param root '' for this machine, or the directory that stands for `/` @returns '' if it cannot be read */
export function bootId(root = ''): string {
  try {
    return readFileSync(`${root}/proc/sys/kernel/random/boot_id`, 'utf8').trim();
  } catch {
    return '';
  }
}
