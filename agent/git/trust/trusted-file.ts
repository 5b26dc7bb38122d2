/** Checks that only root can change a file that names trusted keys. */
import { access, constants, realpath, stat } from 'node:fs/promises';
import path from 'node:path';

/** Sticky bit: in such a directory nobody can rename or remove files of others. */
const STICKY = 0o1000;
const WRITABLE_BY_OTHERS = 0o022;

/**
 * As `StrictModes` of sshd_config(5): the file, and each directory above it, belongs to root or to ourselves, and nobody
 * else may write to it.
 * @returns why the file cannot be trusted, as the end of a sentence; null if it can
 */
export async function distrust(file: string): Promise<string | null> {
  const us = process.geteuid?.() ?? 0;
  try {
    const real = await realpath(file);
    const found = await stat(real);
    if (!found.isFile()) return `${file} is no file`;
    await access(real, constants.R_OK);
    let at = real;
    for (let is = found; ; is = await stat(at)) {
      if (is.uid !== 0 && is.uid !== us) return `${at} belongs to user ${is.uid}; \`chown root ${at}\``;
      const isShared = is.isDirectory() && (is.mode & STICKY) !== 0;
      if ((is.mode & WRITABLE_BY_OTHERS) !== 0 && !isShared)
        return `${at} can be written by others than its owner; \`chmod go-w ${at}\``;
      if (at === path.dirname(at)) return null;
      at = path.dirname(at);
    }
  } catch (thrown) {
    return `${file} cannot be read (${(thrown as NodeJS.ErrnoException).code ?? String(thrown)})`;
  }
}
