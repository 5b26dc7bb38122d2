/** Changes of files that wait for an operator. Pure. */

import type { Decision } from '../../core/provider.ts';
import type { Change, Desired, Seen } from '../../core/types.ts';
import { MAX_ORIGINAL } from './act/originals.ts';
import type { FileFact } from './diff.ts';
import type { FileSpec } from './spec.ts';

/** @returns why an existing file is not adopted, or why nothing is purged yet */
export function hold(
  want: Desired<FileSpec>,
  seen: Seen<FileFact> | undefined,
  change: Change,
): string | Decision | null {
  if (seen === undefined || change.op === 'none') return null;
  return differing(want, seen, change) ?? tooLarge(seen) ?? firstPurge(want, seen);
}

/** The declaration forbids overwriting an existing file. */
function differing({ spec }: Desired<FileSpec>, { mark }: Seen<FileFact>, change: Change): string | null {
  if (mark !== undefined || spec.existing !== 'held' || change.op !== 'update') return null;
  if (!change.why.some((r) => ['type', 'content'].includes(r.field))) return null;
  return `${spec.path} is there already and differs from the repository in ${change.why.map((r) => r.field).join(', ')}; commit what the host has, set x-fairlead: {adopt: recreate} at the top level, or run \`fairlead sync --adopt\` to overwrite it`;
}

/** It is too large to be kept as the original. */
function tooLarge({ fact: { type, size }, mark }: Seen<FileFact>): string | null {
  if (mark !== undefined || type !== 'file' || size <= MAX_ORIGINAL) return null;
  return `a file of ${size} bytes is there, and at most ${MAX_ORIGINAL} bytes are kept of what is taken over; move or delete it`;
}

/** Files from before the first `purge` belong to others; everything added later may be removed. */
function firstPurge({ spec, hash }: Desired<FileSpec>, { fact, mark }: Seen<FileFact>): Decision | null {
  const { foreign = [] } = fact;
  const isFirst = mark === undefined || (mark.hash !== hash && mark.memo?.purge !== true);
  if (!spec.purge || !isFirst || foreign.length === 0) return null;
  const more = foreign.length > SHOWN ? ` and ${foreign.length - SHOWN} more` : '';
  const entries = foreign.length === 1 ? '1 entry' : `${foreign.length} entries`;
  return {
    code: 'PurgeUnconfirmed',
    liftedBy: 'allowPrune',
    reason: `the first \`purge\` of ${spec.path} would remove ${entries} that nobody declares: ${foreign.slice(0, SHOWN).join(', ')}${more}; declare what is to stay, or run \`fairlead sync --allow-prune\``,
  };
}

/** Maximum number of names in a message. */
const SHOWN = 5;
