/** Which hosts run which commit, and how a rollout proceeded. Pure. */
import type { Judged } from './judged.ts';
import { type Counts, commitOf, countsOf } from './select.ts';

export interface CommitGroup {
  /** `none`: of hosts that run no commit. */
  readonly commit: string;
  /** As far as a host that was asked reports it. */
  readonly subject: string;
  readonly author: string;
  readonly committedAt: number | null;
  /** Hosts that run it. */
  readonly counts: Counts;
  /** Hosts that were asked for it and do not run it yet. */
  readonly asked: number;
  /** When hosts that run it applied it, in order, milliseconds. A host on which it changed nothing did not. */
  readonly times: readonly number[];
}

/** The newest first; then commits without a known date, those with the most hosts first. */
export function commitsOf(all: readonly Judged[]): CommitGroup[] {
  const runs = new Map<string, Judged[]>();
  const asked = new Map<string, number>();
  const about = new Map<string, Judged['row']>();
  for (const judged of all) {
    const commit = commitOf(judged);
    const list = runs.get(commit);
    if (list) list.push(judged);
    else runs.set(commit, [judged]);
    const { row } = judged;
    if (row.commit === '') continue;
    if (!about.has(row.commit)) about.set(row.commit, row);
    if (row.commit !== row.runs) asked.set(row.commit, (asked.get(row.commit) ?? 0) + 1);
  }
  return [...new Set([...runs.keys(), ...asked.keys()])]
    .map((commit) => {
      const list = runs.get(commit) ?? [];
      const told = about.get(commit);
      return {
        commit,
        subject: told?.subject ?? '',
        author: told?.author ?? '',
        committedAt: told?.committedAt ?? null,
        counts: countsOf(list),
        asked: asked.get(commit) ?? 0,
        times: list
          .flatMap(({ row }) => (row.appliedAt === null || row.applied !== commit ? [] : [row.appliedAt]))
          .sort((a, b) => a - b),
      };
    })
    .sort((a, b) => (b.committedAt ?? 0) - (a.committedAt ?? 0) || b.counts.all - a.counts.all);
}

/** Points of one curve are thinned to about this many. */
const POINTS = 400;

/**
 * Curves that share their times, as plots want them: how many of the hosts that run a commit now had applied it by then. They
 * come from the hosts' own words, so they reach back to before the page was opened.
 * @returns times in seconds, and a list of counts for each group
 */
export function rolloutOf(groups: readonly CommitGroup[], now: number): { times: number[]; series: number[][] } {
  const stamps = new Set<number>();
  for (const { times } of groups) {
    const step = Math.max(1, Math.ceil(times.length / POINTS));
    times.forEach((at, i) => {
      if (i % step === 0 || i === times.length - 1) stamps.add(Math.floor(at / 1_000));
    });
  }
  if (stamps.size === 0) return { times: [], series: groups.map(() => []) };
  const first = Math.min(...stamps);
  stamps.add(first - 1);
  stamps.add(Math.floor(now / 1_000));
  const times = [...stamps].sort((a, b) => a - b);
  const series = groups.map((group) => {
    let done = 0;
    return times.map((second) => {
      while (done < group.times.length && Math.floor((group.times[done] ?? 0) / 1_000) <= second) done += 1;
      return done;
    });
  });
  return { times, series };
}
