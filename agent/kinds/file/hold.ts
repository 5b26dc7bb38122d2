/** Changes of files that wait for a person. Pure. */

import type { Change, Desired, Seen } from '../../core/types.ts';
import type { FileFact } from './diff.ts';
import { MAX_ORIGINAL } from './originals.ts';
import type { FileSpec } from './spec.ts';

/** @returns why a file that is there already is not taken over: it is too large to be kept and put back one day */
export function hold(_want: Desired<FileSpec>, seen: Seen<FileFact> | undefined, change: Change): string | null {
  if (seen === undefined || seen.mark !== undefined || change.op === 'none') return null;
  const { type, size } = seen.fact;
  if (type !== 'file' || size <= MAX_ORIGINAL) return null;
  return `a file of ${size} bytes is there, and at most ${MAX_ORIGINAL} bytes are kept of what is taken over; move or delete it`;
}
