/** Summarises a host's row: one state, whether the host needs somebody, and a sentence that says why. Pure. */
import { heldText, isPaused } from '../../fleet/reader/gate.ts';
import type { Row } from './row.ts';
import { ago } from './words.ts';

/** The worst first; this is the order of the table. */
export const STATES = [
  'failed',
  'rolled-back',
  'degraded',
  'offline',
  'not delivered',
  'held',
  'out-of-sync',
  'stale',
  'paused',
  'unknown',
  'progressing',
  'unassigned',
  'well',
] as const;
export type State = (typeof STATES)[number];

/** A host that meant to sync this long ago and has not reported since is stale: online by its broker, and silent. */
const STALE_MS = 15 * 60_000;

export const isStale = (row: Row, now: number): boolean =>
  row.presence === 'online' && row.next !== null && now - row.next > STALE_MS;

export function stateOf(row: Row, now: number): State {
  if (row.presence === 'offline') return 'offline';
  if (row.missing !== null || row.isUnreadable) return 'not delivered';
  if (row.sync === 'failed' || row.sync === 'rolled-back') return row.sync;
  if (row.health === 'degraded') return 'degraded';
  if (row.sync === 'held' || row.sync === 'out-of-sync') return row.sync;
  if (isStale(row, now)) return 'stale';
  if (row.sync === 'progressing' || row.health === 'progressing') return 'progressing';
  if (row.sync === 'unassigned') return 'unassigned';
  // Nothing is wrong, but nothing will be changed: the reader must not mistake it for an ordinary host.
  if (isPaused(row)) return 'paused';
  return row.sync === 'synced' && row.health === 'healthy' && row.presence === 'online' ? 'well' : 'unknown';
}

/** `needs`: somebody has to do something. `waits`: it is not well, and passes by itself. */
export type Need = 'needs' | 'waits' | 'well';

export function needOf(row: Row, state: State): Need {
  switch (state) {
    case 'well':
      return 'well';
    case 'progressing':
    case 'unassigned':
    case 'unknown':
      return 'waits';
    case 'held':
    case 'paused':
      // A window opens and a pause with an end ends by itself.
      return row.gate !== null && row.gate.until !== null ? 'waits' : 'needs';
    case 'failed':
    case 'degraded':
    case 'out-of-sync':
      return row.problem?.isWaitOnly ? 'waits' : 'needs';
    default:
      return 'needs';
  }
}

/** Why a host is as it is, for people; empty for one that is well. */
export function sentenceOf(row: Row, state: State, now: number): string {
  const said = saidBy(row);
  switch (state) {
    case 'well':
      return '';
    case 'offline': {
      const since = row.presenceSince === null ? '' : ` since ${ago(row.presenceSince, now)}`;
      const last = row.at === null ? 'it has never reported' : `it last reported ${ago(row.at, now)}`;
      return `offline${since}; ${last}${said === '' ? '' : `: ${said}`}`;
    }
    case 'not delivered':
      if (row.isUnreadable) return 'its status is not one that this page can read; its agent may be newer';
      return `the broker gave no ${row.missing} of this host, although it was asked three times`;
    case 'stale':
      return `online, but silent: a sync was due ${ago(row.next ?? now, now)}, and nothing was reported since${said === '' ? '' : `; ${said}`}`;
    case 'held':
    case 'paused':
      return heldText(row.gate, said, now);
    case 'unassigned':
      return said || 'the repository declares nothing for this host';
    case 'unknown':
      return said || 'no run has ended yet';
    default:
      return said;
  }
}

function saidBy({ message, problem, reason, gate }: Row): string {
  if (message !== '') return message;
  if (gate !== null && problem === null && gate.reason !== '') return gate.reason;
  if (problem === null) return reason;
  return problem.id === '' ? problem.message : `${problem.id}: ${problem.message}`;
}

/** The code that groups hosts with the same cause. */
export const causeOf = (row: Row, state: State): string => {
  if (state === 'offline' || state === 'stale' || state === 'not delivered') return state;
  return row.problem?.reason || row.reason || state;
};
