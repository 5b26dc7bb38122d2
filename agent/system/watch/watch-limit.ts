/** State that the directory watchers share. */
import type { ReasonCode } from '../../../manifests-schema/reasons.ts';

/** Share of the limit from which on it is reported as near. */
const NEAR = 0.9;

/** Our own temporary files (system/files/files.ts) come and go with every write. */
export const isOwnTemp = (name: string): boolean => name.startsWith('.fairlead-');

/** @param what e.g. `files` */
export function watchLimit(
  what: string,
  { watched, left }: { watched: number; left: number },
  limit: number,
): { reason: ReasonCode; message: string } | null {
  const remedy = 'raise fs.inotify.max_user_watches (sysctl), or manage fewer directories';
  // Each process that watches needs one; a user may have 128 by default (inotify(7)), and root's programs share them.
  const instances = 'where other programs watch a lot, raise fs.inotify.max_user_instances as well';
  if (left > 0)
    return {
      reason: 'WatchLimit',
      message: `${left} of ${watched + left} directories of ${what} could not be watched; changes there are found by the schedule alone; ${remedy}; ${instances}`,
    };
  if (watched < limit * NEAR) return null;
  return {
    reason: 'WatchLimitNear',
    message: `${watched} of at most ${limit} directories of ${what} are watched; beyond that changes are found by the schedule alone; ${remedy}`,
  };
}
