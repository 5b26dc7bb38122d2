/** Progress of the newest commit of each ref that hosts follow. Pure. */
import { reasonOf } from '../../../../manifests-schema/reasons.ts';
import type { FleetRow } from '../../reader/model.ts';

export interface Progress {
  commit: string;
  /** A ref whose newest commit this is, as in agent.yaml: a branch, a tag, a pattern of tags or a commit. */
  ref: string;
  /** Number of hosts that follow such a ref and are counted. */
  hosts: number;
  /** Number of these hosts that run the commit. */
  done: number;
  /** Number of hosts that run it and are not healthy, for any reason: the host itself has judged the commit. */
  unwell: number;
  failed: number;
  /** Number of hosts that wait for a window, a review or a person. */
  held: number;
  /** Number of hosts that have been offline for a while and do not run it: the commit does not wait for them. */
  offline: number;
  /** Message of the first failed host, by name. */
  problem: { host: string; says: string } | null;
}

/** Only object ids of git may be put into the address of a request. */
const COMMIT = /^[0-9a-f]{40}$/;

/** @param isGone the host has been offline so long that commits do not wait for it @returns the commit with the most hosts first */
export function progressOf(rows: readonly FleetRow[], isGone: (host: string) => boolean): Progress[] {
  const byRef = Map.groupBy(
    rows.filter(({ ref, commit, sync }) => ref !== null && COMMIT.test(commit ?? '') && sync !== 'unassigned'),
    ({ ref }) => ref ?? '',
  );
  const all = new Map<string, Progress>();
  for (const [ref, followers] of byRef) {
    // An offline host may show a commit that is no longer on the branch.
    const present = followers.filter(({ host }) => !isGone(host));
    const commit = newestOf(present.length > 0 ? present : followers);
    const progress = all.get(commit) ?? { commit, ref, ...NOTHING };
    for (const row of followers) count(progress, row, isGone(row.host));
    all.set(commit, progress);
  }
  return [...all.values()].filter(({ hosts }) => hosts > 0).sort((a, b) => b.hosts - a.hosts);
}

const NOTHING = { hosts: 0, done: 0, unwell: 0, failed: 0, held: 0, offline: 0, problem: null };

/** By the committer date. */
function newestOf(rows: readonly FleetRow[]): string {
  const newest = rows.reduce((best, row) => ((row.committedAt ?? '') > (best.committedAt ?? '') ? row : best));
  return newest.commit ?? '';
}

/** Maximum number of letters of a host's message that are used, because a line is short. */
const MOST_SAID = 1_000;

/** The host observes and changes nothing, whatever the commit. */
const OBSERVES = 'Observing';

function count(progress: Progress, row: FleetRow, isGone: boolean): void {
  const isAsked = row.commit === progress.commit;
  if (isAsked && row.sync === 'held' && row.reason === OBSERVES) return;
  progress.hosts++;
  if (isAsked && row.sync === 'synced' && row.health !== 'progressing') {
    progress.done++;
    if (row.health === 'degraded') progress.unwell++;
  } else if (isAsked && hasFailed(row)) {
    progress.failed++;
    if (progress.problem === null || row.host < progress.problem.host)
      progress.problem = { host: row.host, says: (row.message || row.reason).slice(0, MOST_SAID) };
  } else if (isGone) progress.offline++;
  else if (isAsked && row.sync === 'held') progress.held++;
}

/** A problem that passes by itself is no failure yet. */
const hasFailed = ({ sync, reason }: FleetRow): boolean =>
  sync === 'rolled-back' || (sync === 'failed' && reasonOf(reason)?.fault !== 'wait');
