/**
 * A run as passes over one commit each: which come first, and which follow from the result of one. Pure: the loop in pursue.ts
 * carries them out.
 */

import type { Choice } from '../../core/plan/target.ts';
import type { Hold } from '../../core/provider.ts';
import type { Gate } from '../../core/types.ts';
import type { PendingRollback, Remembered } from '../../store/commits.ts';
import type { Outcome } from '../types.ts';
import { LOOK, type Mode, REPAIR, ROLLBACK, STAY, TRY } from './mode.ts';

/** The state that a run knows before it changes anything. */
export interface Situation {
  head: string;
  /** Hash of the desired state under the head. */
  content: string;
  choice: Choice;
  /** The review's answer for the commit to stay on; null if the host is to stay on none. */
  stay: { hold: Hold | null } | null;
  /** `rollback` of the head's host.yaml. */
  rollback: 'auto' | 'off';
  /** Why nothing is changed, or why the head waits. */
  gate: Gate | null;
  memory: Remembered;
}

/** A pass that converges the host to a commit. */
export interface CommitPass {
  /**
   * `try`: try the head; `again`: try it again, because it was not the cause of the failure. `repair`: repair the accepted
   * head. `keep`: repair the accepted commit while the head waits or is refused. `stay`: stay on another commit. `back`: roll
   * back from the head. `look`: change nothing.
   */
  role: 'try' | 'again' | 'repair' | 'keep' | 'stay' | 'rollback' | 'look';
  on: string;
  mode: Mode;
  gate: Gate | null;
}

/** A pass after a rollback: checks whether the endpoints that were lost answer again. */
export interface ReconnectPass {
  role: 'reconnect';
  pendingRollback: PendingRollback;
}

export type Pass = CommitPass | ReconnectPass;

const pass = (role: CommitPass['role'], on: string, mode: Mode, gate: Gate | null = null): Pass => ({
  role,
  on,
  mode,
  gate,
});

/** The first passes of a run. */
export function decide({ head, choice, stay, gate, memory }: Situation): Pass[] {
  const { pendingRollback, accepted } = memory;
  if (gate?.kind === 'pause') return [pass('look', head, LOOK, gate)];
  // The review refuses the commit to stay on, so the run only repairs the accepted one.
  if (choice.act === 'stay' && stay !== null && stay.hold !== null)
    return accepted === null
      ? [pass('look', head, LOOK, choice.gate)]
      : [pass('keep', accepted, pendingRollback?.to === accepted ? ROLLBACK : REPAIR)];
  if (choice.act === 'stay') return [pass('stay', choice.on, pendingRollback?.to === choice.on ? ROLLBACK : STAY)];
  if (gate !== null) return hold(head, gate, memory);
  // Without the server, the target of an unfinished rollback stands in for the head.
  if (pendingRollback?.to === head) return [pass('repair', head, ROLLBACK)];
  if (choice.act === 'repair') return [pass('repair', head, REPAIR)];
  return [pass('try', head, TRY)];
}

/** The head waits: repair the accepted commit, then show what the head would change. */
const hold = (head: string, gate: Gate, memory: Remembered): Pass[] => [
  ...keep(head, memory),
  pass('look', head, LOOK, gate),
];

const keep = (head: string, { accepted, pendingRollback }: Remembered): Pass[] =>
  accepted === null || accepted === head
    ? []
    : [pass('keep', accepted, pendingRollback?.to === accepted ? ROLLBACK : REPAIR)];

/** A note that the run records about a pass before it continues. */
export type Note =
  /** Repairs follow this commit from now on; `good`: everything under it is well. */
  | { type: 'accept'; commit: string; good: boolean }
  /** The head did not settle: it is recorded as bad, and the last good commit is applied. */
  | { type: 'roll back'; pendingRollback: PendingRollback; isSilence: boolean }
  /**
   * The rollback ended. `isRetried`: it did not help, so the commit is not bad and is tried again; `failed`: the previous commit
   * did not become well either.
   */
  | { type: 'rollback ended'; content: string; isRetried: boolean; failed?: true };

export interface Conclusion {
  note: Note | null;
  next: Pass[];
}

const NOTHING: Conclusion = { note: null, next: [] };

export interface Concluding {
  situation: Situation;
  /** The current record. */
  memory: Remembered;
  /** Names of the endpoints that the commit on trial cut off. */
  lost: readonly string[];
  /** They are only silent, which is no proof against the commit. */
  isSilence: boolean;
}

/** The note and the next passes after a pass over a commit. @param outcome null if the commit could not be read */
export function conclude(done: CommitPass, outcome: Outcome | null, given: Concluding): Conclusion {
  const { memory } = given;
  // The try cleared `pendingRollback`; the commit that is kept instead of the head still needs it.
  const asBegun = { ...memory, pendingRollback: given.situation.memory.pendingRollback };
  if (done.role === 'look') return NOTHING;
  if (done.role === 'keep')
    return done.on === memory.pendingRollback?.to ? endOfRollback(outcome?.verdict ?? 'open', memory) : NOTHING;
  // The commit cannot be applied, or declares nothing for this host: still repair what runs.
  if (done.role === 'stay' && !isApplied(outcome) && (outcome?.gate ?? null) === null)
    return { note: null, next: keep(done.on, asBegun) };
  if (done.role === 'stay' || done.role === 'rollback') return settledOn(done, outcome, given);
  if (outcome === null) return NOTHING;
  if (done.role === 'try' && outcome.gate?.kind === 'prune')
    return { note: null, next: hold(done.on, outcome.gate, asBegun) };
  // The commit was refused, declares nothing for this host, or could not be started. A gate is none of these.
  if (done.role === 'try' && (outcome.rejected || (outcome.verdict === 'untouched' && outcome.gate === null)))
    return { note: null, next: keep(done.on, asBegun) };
  return judged(done.on, outcome, given);
}

/** The same for a pass over another commit than the head. */
function settledOn({ role, on: commit }: CommitPass, outcome: Outcome | null, given: Concluding): Conclusion {
  const { memory, situation } = given;
  const isWell = outcome !== null && !outcome.rejected && isProven(outcome.verdict);
  // If the target cannot be read any more or is rejected, the rollback ends without proof; it is not repeated for ever.
  const end =
    outcome === null || outcome.rejected ? rollbackWithoutTarget(memory) : endOfRollback(outcome.verdict, memory);
  if (isWell) return { note: { type: 'accept', commit, good: false }, next: end.next };
  // An operator pinned this very commit, well or not: from now on drift is a difference from it.
  const isPinned = role === 'stay' && situation.choice.act === 'stay' && situation.choice.gate?.kind === 'pin';
  if (isPinned && isApplied(outcome) && end.note === null)
    return { note: { type: 'accept', commit, good: false }, next: end.next };
  return end;
}

/** Whether something of the commit was done, or nothing was left to do. */
const isApplied = (outcome: Outcome | null): boolean =>
  outcome !== null && !outcome.rejected && outcome.verdict !== 'untouched';

/** Whether a commit has proved itself, is still open, or is rolled back. */
function judged(commit: string, outcome: Outcome, { situation, memory, lost, isSilence }: Concluding): Conclusion {
  const { content, rollback } = situation;
  const { accepted, lastGood, lastGoodContent } = memory;
  const end = endOfRollback(outcome.verdict, memory);
  if (isProven(outcome.verdict)) return { note: { type: 'accept', commit, good: true }, next: end.next };
  // A repair of the accepted commit is never rolled back, and an open verdict is left to the next run.
  if (accepted === commit || outcome.verdict !== 'unwell') return end;
  // There is no earlier commit to return to, so this one is repaired like an accepted commit.
  if (rollback === 'off' || lastGood === null || lastGoodContent === content)
    return { note: { type: 'accept', commit, good: false }, next: [] };
  const pendingRollback = { from: commit, content, to: lastGood, endpoints: lost };
  return { note: { type: 'roll back', pendingRollback, isSilence }, next: [pass('rollback', lastGood, ROLLBACK)] };
}

/** A failure that needs an operator on this host is no evidence against a commit. */
const isProven = (verdict: Outcome['verdict']): boolean => verdict === 'well' || verdict === 'partly';

/** Judges a finished rollback. If the previous commit did not become well either, the rolled-back commit was not the cause. */
function endOfRollback(verdict: Outcome['verdict'], { pendingRollback }: Remembered): Conclusion {
  if (pendingRollback === null) return NOTHING;
  if (isProven(verdict)) return { note: null, next: [{ role: 'reconnect', pendingRollback }] };
  if (verdict !== 'unwell') return NOTHING;
  return {
    note: { type: 'rollback ended', content: pendingRollback.content, isRetried: true, failed: true },
    next: [],
  };
}

const rollbackWithoutTarget = ({ pendingRollback }: Remembered): Conclusion =>
  pendingRollback === null
    ? NOTHING
    : { note: { type: 'rollback ended', content: pendingRollback.content, isRetried: false }, next: [] };

/**
 * The same after a rollback, when the endpoints were probed again.
 * @param isLost some stayed unreachable, so the commit was not the cause
 * @param head the commit that the run is about
 */
export function concludeRollback(
  { from, content }: PendingRollback,
  head: string,
  { isLost }: { isLost: boolean },
): Conclusion {
  return {
    note: { type: 'rollback ended', content, isRetried: isLost },
    next: isLost && from === head ? [pass('again', head, TRY)] : [],
  };
}
