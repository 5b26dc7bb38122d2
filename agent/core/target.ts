/** Decides which commit a run converges to, and why that may not be the head. Pure. */
import { type ReasonCode, reasonOf } from '../../manifests-schema/reasons.ts';
import type { Gate, Problem, ResourceId } from './types.ts';

/** A hold that somebody set on this host: nothing is touched. */
export interface Pause {
  /** ISO 8601; null until `resume`. */
  until: string | null;
  reason: string;
  at: string;
}

/** The host stays on this commit until `resume`. */
export interface Pin {
  commit: string;
  at: string;
  /** Missing: a person on this host. */
  by?: Asker;
}

/** Who wants a commit applied: the agent itself, a person on this host, or a command that came over the broker. */
export type Asker = 'agent' | 'person' | 'broker';

/** The first thing that spoke against a commit, with all else that did. */
export interface Culprit extends Problem {
  others?: readonly Problem[];
}

/** Each of them as status shows it. */
export const problemsOf = ({ others = [], ...first }: Culprit): Problem[] => [first, ...others];

/** A commit whose content did not settle here. */
export interface BadCommit {
  /** Hash of what it rendered to: the same content is bad under any commit id. */
  content: string;
  commit: string;
  at: string;
  culprit: Culprit;
}

/** A commit that was taken back since the repository fell silent, which proves nothing, or one that proved innocent. */
export interface Silenced {
  content: string;
  commit: string;
  /** How often it was taken back; 0 if it proved innocent. */
  times: number;
  /** When it is tried again, ISO 8601. */
  nextAt: string;
  /** Jobs that ran under it and do not run again when it is tried again. */
  ran: readonly ResourceId[];
  culprit: Culprit;
  /** It proved innocent, since what ran before did not become well either: what that was. A person's sync tries it at once. */
  failed?: Problem;
}

const HOUR_MS = 3_600_000;
/** How long each further try waits. */
const SILENT_PAUSES_MS = [HOUR_MS / 6, HOUR_MS, 24 * HOUR_MS];

/** @returns when a commit that was taken back for the n-th time since the repository fell silent is tried again; null if it is not */
export function nextTry(times: number, now: Date): string | null {
  const pause = SILENT_PAUSES_MS[times - 1];
  return pause === undefined ? null : new Date(now.getTime() + pause).toISOString();
}

const FIRST_AGAIN_MS = 60_000;
const LAST_AGAIN_MS = 300_000;

/** When a commit that proved innocent is tried again, after it was taken back for the n-th time. */
export const tryAgain = (times: number, now: Date): string =>
  new Date(now.getTime() + Math.min(FIRST_AGAIN_MS * 2 ** (times - 1), LAST_AGAIN_MS)).toISOString();

export interface Situation {
  head: { commit: string; content: string };
  accepted: string | null;
  lastGood: string | null;
  bad: BadCommit | null;
  silenced: Silenced | null;
  now: Date;
  pin: Pin | null;
  /** A person asked for this very commit to be tried again. */
  force: boolean;
  /** A person asked for this run. */
  isAsked: boolean;
}

export type Choice =
  /** A commit that this host has not accepted yet. */
  | { act: 'try' }
  /** The accepted one: only drift is repaired. */
  | { act: 'repair' }
  /** Another commit than the head, which is kept in repair. */
  | {
      act: 'stay';
      on: string;
      sync: 'held' | 'rolled-back';
      /** What ran before did not become well again, as of the way back to it. */
      failed?: Problem | undefined;
      gate: Gate | null;
      reason: ReasonCode;
      message: string;
      problem: Culprit | null;
    };

export function choose({ head, accepted, lastGood, bad, silenced, now, pin, force, isAsked }: Situation): Choice {
  const short = head.commit.slice(0, 7);
  // A pin to the head asks for nothing else than the head itself.
  if (pin !== null && pin.commit !== head.commit) {
    const message = `this host is pinned to ${pin.commit.slice(0, 7)}; commit ${short} waits for \`fairlead resume\``;
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
  const waits = silenced?.content === head.content && Date.parse(silenced.nextAt) > now.getTime();
  const failed = silenced?.failed;
  const isTriedNow = force || (isAsked && failed !== undefined);
  if (silenced !== null && waits && lastGood !== null && !isTriedNow) {
    const { culprit, nextAt } = silenced;
    const stays = failed
      ? `, and ${lastGood.slice(0, 7)}, which ran before, did not become well again (${failed.id}: ${failed.message}): the commit is not bad. It is tried again at ${nextAt}, or now with \`fairlead sync\``
      : `; this host stays on ${lastGood.slice(0, 7)} and tries it again at ${nextAt}, or now with \`fairlead sync --force\``;
    const message = `commit ${short} was taken back (${culprit.id}: ${culprit.message})${stays}`;
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

/** The pause, unless it is over. */
export const pauseNow = (pause: Pause | null | undefined, now: Date): Pause | null =>
  pause && (pause.until === null || Date.parse(pause.until) > now.getTime()) ? pause : null;

/**
 * Whether a code tells of an outage of engine, registry, systemd or disk, or of what somebody else did to the host, and not
 * of a bad commit. It is waited out.
 */
export const isOutage = (code: ReasonCode | ''): boolean => reasonOf(code).fault === 'wait';
