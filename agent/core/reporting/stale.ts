/** Detects a head that has not moved for long: the fleet may be idle, or the server may withhold commits. Pure. */
import type { CommitInfo, Problem } from '../types.ts';

/** @param staleAfterMs null: a head may be of any age. Does not apply to a pinned commit. */
export function staleProblem(head: CommitInfo | null, staleAfterMs: number | null, now: Date): Problem[] {
  if (head === null || staleAfterMs === null || head.ref === head.commit) return [];
  const age = now.getTime() - Date.parse(head.committedAt);
  if (!(age > staleAfterMs)) return [];
  const days = Math.floor(age / 86_400_000);
  const old = days > 0 ? `${days} days` : `${Math.floor(age / 3_600_000)} hours`;
  const message = `the newest commit on ${head.ref}, ${head.commit.slice(0, 7)}, is ${old} old (repo.staleAfter): push a commit if the fleet was idle, or check why the server offers no newer one`;
  return [{ id: 'repository', reason: 'RepositoryStale', message, file: null, line: null }];
}
