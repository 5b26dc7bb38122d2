/** Files for a user who is not root: new files belong to that user, and owners cannot be changed (chown(2)). */
import type { Files, WriteOptions } from './types.ts';

/** Leaves an id as it is. */
const AS_IT_IS = -1;
const own = (options: WriteOptions): WriteOptions => ({ ...options, uid: AS_IT_IS, gid: AS_IT_IS });

export const withoutOwners = (files: Files): Files => ({
  ...files,
  write: (file, content, options) => files.write(file, content, own(options)),
  writeAll: (entries) => files.writeAll(entries.map((entry) => ({ ...entry, options: own(entry.options) }))),
  copy: (from, to, options) => files.copy(from, to, own(options)),
  mkdir: (file, options) => files.mkdir(file, own(options)),
  setMeta: (file, options) => files.setMeta(file, own(options)),
});
