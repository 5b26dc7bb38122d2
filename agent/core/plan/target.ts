/** Decides which commit a run converges to, and why that may not be the head. Pure. */
import { type ReasonCode, reasonOf } from '../../../manifests-schema/reasons.ts';
import type { CommandOrigin, Gate, Problem, ResourceId } from '../types.ts';

/** An operator's pause of this host: no run changes anything. */
export interface Pause {
  /** ISO 8601; null: until `resume`. */
  until: string | null;
  reason: string;
  at: string;
}

/** The host stays on this commit until `resume`. */
export interface Pin {
  commit: string;
  at: string;
  /** Missing: a person on this host set it. */
  by?: Asker;
  /** The command that set it. */
  command?: CommandOrigin;
}

/** Who requested the commit: the agent itself, a person on this host, or a command over the broker. */
export type Asker = 'agent' | 'person' | 'broker';

/** The first failure that spoke against a commit, with the others. */
export interface Culprit extends Problem {
  others?: readonly Problem[];
}

/** All failures, each as status shows it. */
export const problemsOf = ({ others = [], ...first }: Culprit): Problem[] => [first, ...others];

/** A commit whose content did not settle on this host. */
export interface BadCommit {
  /** Hash of the rendered content: the same content is bad under any commit id. */
  content: string;
  commit: string;
  at: string;
  culprit: Culprit;
}

/**
 * A commit that was rolled back, is not bad, and is tried again: the repository was unreachable, which proves nothing; or the
 * commit did not cause the failure.
 */
export interface PostponedCommit {
  content: string;
  commit: string;
  /** How often it was rolled back; 0 if it did not cause the failure. */
  times: number;
  /** Time of the next try, ISO 8601. */
  nextAt: string;
  /** Jobs that ran under it and do not run again at the next try. */
  ran: readonly ResourceId[];
  culprit: Culprit;
  /**
   * Set if it did not cause the failure, because the previous commit did not become well either: the failure of that commit. A
   * manual sync tries it at once.
   */
  failed?: Problem;
}

const HOUR_MS = 3_600_000;
/** The pause before each further try. */
const SILENT_PAUSES_MS = [HOUR_MS / 6, HOUR_MS, 24 * HOUR_MS];

/** @returns when a commit is tried again after its n-th rollback since the repository became unreachable; null if never */
export function nextTry(times: number, now: Date): string | null {
  const pause = SILENT_PAUSES_MS[times - 1];
  return pause === undefined ? null : new Date(now.getTime() + pause).toISOString();
}

const FIRST_AGAIN_MS = 60_000;
const LAST_AGAIN_MS = 300_000;

/** When a commit that did not cause the failure is tried again, after its n-th rollback. */
export const tryAgain = (times: number, now: Date): string =>
  new Date(now.getTime() + Math.min(FIRST_AGAIN_MS * 2 ** (times - 1), LAST_AGAIN_MS)).toISOString();

export interface Situation {
  head: { commit: string; content: string };
  accepted: string | null;
  lastGood: string | null;
  bad: BadCommit | null;
  postponed: PostponedCommit | null;
  now: Date;
  pin: Pin | null;
  /** A person asked to try this very commit again. */
  force: boolean;
  /** A person asked for this run. */
  isAsked: boolean;
}

export type Choice =
  /** Try a commit that this host has not accepted yet. */
  | { act: 'try' }
  /** Keep the accepted commit: only repair drift. */
  | { act: 'repair' }
  /** Keep another commit than the head, in repair. */
  | {
      act: 'stay';
      on: string;
      sync: 'held' | 'rolled-back';
      /** The failure that remained after the rollback to this commit. */
      failed?: Problem | undefined;
      gate: Gate | null;
      reason: ReasonCode;
      message: string;
      problem: Culprit | null;
    };

export function choose({ head, accepted, lastGood, bad, postponed, now, pin, force, isAsked }: Situation): Choice {
  const short = head.commit.slice(0, 7);
  // A pin to the head is the same as following the head.
  if (pin !== null && pin.commit !== head.commit) {
    const by = pin.command ? ` by command ${pin.command.id}` : '';
    const message = `this host is pinned to ${pin.commit.slice(0, 7)}${by}; commit ${short} waits for \`fairlead resume\``;
    const gate: Gate = { kind: 'pin', reason: message, until: null };
    return { act: 'stay', on: pin.commit, sync: 'held', gate, reason: 'Pinned', message, problem: null };
  }
  if (bad !== null && lastGood !== null && !force) {
    const same =
      bad.commit === head.commit
        ? `commit ${short}`
        : `commit ${short} has the same content as ${bad.commit.slice(0, 7)}, which`;
    const message = `${same} did not settle (${bad.culprit.id}: ${bad.culprit.message}); this host stays on ${lastGood.slice(0, 7)}. Push other content, or try it again with \`fairlead sync --force\``;
    return {
      act: 'stay',
      on: lastGood,
      sync: 'rolled-back',
      gate: null,
      reason: bad.culprit.reason,
      message,
      problem: bad.culprit,
    };
  }
  const waits = postponed?.content === head.content && Date.parse(postponed.nextAt) > now.getTime();
  const failed = postponed?.failed;
  const isTriedNow = force || (isAsked && failed !== undefined);
  if (postponed !== null && waits && lastGood !== null && !isTriedNow) {
    const { culprit, nextAt } = postponed;
    const stays = failed
      ? `, and ${lastGood.slice(0, 7)}, which ran before, did not become well again (${failed.id}: ${failed.message}): the commit is not bad. It is tried again at ${nextAt}, or now with \`fairlead sync\``
      : `; this host stays on ${lastGood.slice(0, 7)} and tries it again at ${nextAt}, or now with \`fairlead sync --force\``;
    const message = `commit ${short} was rolled back (${culprit.id}: ${culprit.message})${stays}`;
    return {
      act: 'stay',
      on: lastGood,
      sync: 'rolled-back',
      gate: null,
      reason: culprit.reason,
      message,
      problem: culprit,
      failed,
    };
  }
  return accepted === head.commit ? { act: 'repair' } : { act: 'try' };
}

/** The pause, unless it has expired. */
export const pauseNow = (pause: Pause | null | undefined, now: Date): Pause | null =>
  pause && (pause.until === null || Date.parse(pause.until) > now.getTime()) ? pause : null;

/**
 * Whether a code means an outage of the Docker engine, a registry, systemd or the disk, or a change by somebody else on the
 * host, rather than a bad commit. Runs wait for an outage to end.
 */
export const isOutage = (code: ReasonCode | ''): boolean => reasonOf(code).fault === 'wait';
