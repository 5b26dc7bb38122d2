/** Answers how commits descend from each other, using the commit objects in the store. */

import type { Objects } from '../pack/objects.ts';
import { type ParsedCommit, parseCommit } from '../store/commit.ts';

/** A commit by its id, and by the data that its signature covers: its twin counts as the same commit. */
export interface Base {
  commit: string;
  payload: string | null;
}

export interface Range {
  /** Whether the base was found among the ancestors. */
  descends: boolean;
  /** The commits after the base, newest first, with merged ones; ends at missing objects. */
  commits: readonly { id: string; commit: ParsedCommit }[];
  /** Missing ancestors: their content and their parents are unknown. */
  missing: readonly string[];
}

/** More than any fleet makes between two polls; a walk ends here, as not descending. */
const MAX_COMMITS = 200_000;
const NOTHING: ReadonlySet<string> = new Set();

/** Walks from `head` towards `base`. Never goes beyond `base`. @param known commits that are passed over, with all before them */
export async function rangeOf(
  objects: Objects,
  head: string,
  base: Base | null,
  known: ReadonlySet<string> = NOTHING,
): Promise<Range> {
  const commits: { id: string; commit: ParsedCommit }[] = [];
  const missing: string[] = [];
  const seen = new Set<string>([head]);
  const queue = [head];
  let descends = false;
  for (let at = 0; at < queue.length; at++) {
    const id = queue[at] ?? '';
    const isBase = id === base?.commit;
    descends ||= isBase;
    if (isBase || known.has(id)) continue;
    if (at >= MAX_COMMITS || !(await objects.has(id))) {
      missing.push(id);
      continue;
    }
    const commit = parseCommit(await objects.read(id, 'commit'));
    if (base !== null && base.payload !== null && commit.payload() === base.payload) {
      descends = true;
      continue;
    }
    commits.push({ id, commit });
    for (const parent of commit.parents) {
      if (!seen.has(parent)) queue.push(parent);
      seen.add(parent);
    }
  }
  return { descends, commits, missing };
}

/** Fetches commits without files. @param depth generations; default: all @returns false if the server does not have them */
export type BringHistory = (wants: readonly string[], haves: readonly string[], depth?: number) => Promise<boolean>;

/** Most forks are young: the history before a base is asked for in steps, as far as it takes. */
const DEPTHS = [64, 2_048, undefined];

/**
 * All commits on the way from `base` to `head`, those of merged branches included, whatever the server left out of its
 * answers: a missing one does no harm only if it comes before the base.
 * @returns `missing`: those of which nothing could be found out
 */
export async function wayFrom(objects: Objects, head: string, base: Base, bring: BringHistory): Promise<Range> {
  let range = await rangeOf(objects, head, base);
  if (range.descends && range.commits.every(({ commit }) => commit.parents.length === 1)) return range;
  const look = async () => rangeOf(objects, head, base, await ancestorsOf(objects, base.commit));
  range = await look();
  if (range.missing.length === 0) return range;
  // A commit that the server left out may come when it is asked for; commits before the base never come.
  await bring(range.missing, [base.commit]);
  range = await look();
  for (const depth of DEPTHS) {
    if (range.missing.length === 0 || !(await bring([base.commit], [], depth))) break;
    range = await look();
  }
  return range;
}

/** All that is known to come before `base`: named as a parent, whether it is here or not. */
async function ancestorsOf(objects: Objects, base: string): Promise<ReadonlySet<string>> {
  const found = new Set<string>();
  const queue = [base];
  for (let at = 0; at < queue.length && at < MAX_COMMITS; at++) {
    const id = queue[at] ?? '';
    if (!(await objects.has(id))) continue;
    for (const parent of parseCommit(await objects.read(id, 'commit')).parents)
      if (!found.has(parent)) {
        found.add(parent);
        queue.push(parent);
      }
  }
  return found;
}
