/** How commits follow one another, from the commit objects that are here. */

import type { Objects } from '../pack/objects.ts';
import { type ParsedCommit, parseCommit } from '../store/commit.ts';

/** A commit by its id, and by what its signature covers: a twin of it counts as it. */
export interface Base {
  commit: string;
  payload: string | null;
}

export interface Range {
  /** Whether the base was found among the ancestors. */
  descends: boolean;
  /** The commits after the base, newest first, with all that were merged in; ends where objects are missing. */
  commits: readonly { id: string; commit: ParsedCommit }[];
  /** Ancestors that are not here: what they are and what comes before them is not known. */
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

/** Brings commits without files. @param depth generations; all when left out @returns false where the server has them not */
export type BringHistory = (wants: readonly string[], haves: readonly string[], depth?: number) => Promise<boolean>;

/** Most forks are young: the history before a base is asked for in steps, as far as it takes. */
const DEPTHS = [64, 2_048, undefined];

/**
 * All commits on the way from `base` to `head`, those of merged branches included, whatever the server left out of its
 * answers: one that is not here is innocent only where it comes before the base.
 * @returns `missing`: those of which nothing could be found out
 */
export async function wayFrom(objects: Objects, head: string, base: Base, bring: BringHistory): Promise<Range> {
  let range = await rangeOf(objects, head, base);
  if (range.descends && range.commits.every(({ commit }) => commit.parents.length === 1)) return range;
  const look = async () => rangeOf(objects, head, base, await ancestorsOf(objects, base.commit));
  range = await look();
  if (range.missing.length === 0) return range;
  // What was left out may come when it is asked for; nothing does of what comes before the base.
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
