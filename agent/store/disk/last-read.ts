/** For reports such as the status, which must not stop if a disk cannot be read. */
import { isUnwritable } from './unwritable.ts';

/**
 * @param before the value if nothing was read yet; without it, that is an error
 * @returns a function that reads, and answers what was read last if the disk does not give it
 */
export function lastRead<T>(read: () => T, before?: T): () => T {
  let last = before;
  return () => {
    try {
      last = read();
    } catch (thrown) {
      if (last === undefined || !isUnwritable(thrown)) throw thrown;
    }
    return last;
  };
}
