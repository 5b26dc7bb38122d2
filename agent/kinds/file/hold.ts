/** Changes of files that wait for a person. Pure. */

import type { Change, Desired, Seen } from '../../core/types.ts';
import type { FileFact } from './diff.ts';
import { MAX_ORIGINAL } from './originals.ts';
import type { FileSpec } from './spec.ts';

/** @returns why a file that is there already is not taken over: it is not to be, or is too large to be kept and put back one day */
export function hold({ spec }: Desired<FileSpec>, seen: Seen<FileFact> | undefined, change: Change): string | null {
  if (seen === undefined || seen.mark !== undefined || change.op === 'none') return null;
  const { type, size } = seen.fact;
  if (
    spec.existing === 'held' &&
    change.op === 'update' &&
    change.why.some((r) => ['type', 'content'].includes(r.field))
  )
    return `${spec.path} is there already and differs from the repository in ${change.why.map((r) => r.field).join(', ')}; commit what the host has, set x-fairlead: {adopt: recreate} at the top level, or run \`fairlead sync --adopt\` to overwrite it`;
  if (type !== 'file' || size <= MAX_ORIGINAL) return null;
  return `a file of ${size} bytes is there, and at most ${MAX_ORIGINAL} bytes are kept of what is taken over; move or delete it`;
}
