/** Reads the large files of a checkout where they lie on this machine. */
import { closeSync, existsSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs';

/** All of a file; null where there is none. */
export const readWhole = (file: string): Uint8Array | null => (existsSync(file) ? readFileSync(file) : null);

/** The first and the last bytes of a file, `most` of each, or all of a shorter one; null where there is none. */
export function readEnds(file: string, most: number): Uint8Array | null {
  if (!existsSync(file)) return null;
  const fd = openSync(file, 'r');
  try {
    const { size } = fstatSync(fd);
    const head = Math.min(size, most);
    const tail = Math.min(size - head, most);
    const bytes = Buffer.alloc(head + tail);
    readSync(fd, bytes, 0, head, 0);
    readSync(fd, bytes, head, tail, size - tail);
    return bytes;
  } finally {
    closeSync(fd);
  }
}
