/** Which boot of the kernel this is (random(4)): what was written and not synced is still there as long as it is the same. */
import { readFileSync } from 'node:fs';

/** @param root '' for this machine, or the directory that stands for `/` @returns '' where it cannot be read */
export function bootId(root = ''): string {
  try {
    return readFileSync(`${root}/proc/sys/kernel/random/boot_id`, 'utf8').trim();
  } catch {
    return '';
  }
}
