/** How commits follow one another, from the commit objects that are here. */
import { type ParsedCommit, parseCommit } from './commit.ts';
import type { Objects } from './objects.ts';

export interface Range {
  /** Whether `base` was found among the ancestors. */
  descends: boolean;
  /** The commits after `base`, newest first, with all that were merged in; ends where objects are missing. */
  commits: readonly { id: string; commit: ParsedCommit }[];
}

/** More than any fleet makes between two polls; a walk ends here, as not descending. */
const MAX_COMMITS = 200_000;

/** Walks from `head` towards `base`. Never goes beyond `base`. */
export async function rangeOf(objects: Objects, head: string, base: string): Promise<Range> {
  const commits: { id: string; commit: ParsedCommit }[] = [];
  const seen = new Set<string>([head]);
  const queue = [head];
  let descends = false;
  for (let at = 0; at < queue.length && at < MAX_COMMITS; at++) {
    const id = queue[at] ?? '';
    if (id === base) {
      descends = true;
      continue;
    }
    if (!(await objects.has(id))) continue;
    const commit = parseCommit(await objects.read(id, 'commit'));
    commits.push({ id, commit });
    for (const parent of commit.parents) {
      if (!seen.has(parent)) queue.push(parent);
      seen.add(parent);
    }
  }
  return { descends, commits };
}
