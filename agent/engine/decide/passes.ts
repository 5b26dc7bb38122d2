/**
 * A run as passes over one commit each: which come first, and which follow from what one came to. Pure: the loop in
 * pursue.ts carries them out.
 */
import type { Hold } from '../../core/provider.ts';
import type { Choice } from '../../core/target.ts';
import type { Gate } from '../../core/types.ts';
import type { Remembered, WayBack } from '../../store/commits.ts';
import type { Outcome } from '../types.ts';
import { LOOK, type Mode, REPAIR, STAY, TRY, WAY_BACK } from './mode.ts';

/** What a run knows before it touches anything. */
export interface Situation {
  head: string;
  /** Hash of all that the head would make this host. */
  content: string;
  choice: Choice;
  /** Whether the host may go to the commit that it is to stay on; null if it is to stay on none. */
  stay: { hold: Hold | null } | null;
  /** Of the head's host.yaml. */
  rollback: 'auto' | 'off';
  /** Why nothing is touched, or why the head waits. */
  gate: Gate | null;
  memory: Remembered;
}

/** Converges the host to a commit. */
export interface CommitPass {
  /**
   * `try` the head; `again` after it proved innocent. `repair` it if it is accepted; `keep` what is accepted in repair while
   * the head waits or is refused. `stay` on another commit; `back` from the head. `look`: touch nothing.
   */
  role: 'try' | 'again' | 'repair' | 'keep' | 'stay' | 'back' | 'look';
  on: string;
  mode: Mode;
  gate: Gate | null;
}

/** Everything is taken back: sees whether the endpoints that were lost answer again. */
export interface ReconnectPass {
  role: 'reconnect';
  wayBack: WayBack;
}

export type Pass = CommitPass | ReconnectPass;

const pass = (role: CommitPass['role'], on: string, mode: Mode, gate: Gate | null = null): Pass => ({
  role,
  on,
  mode,
  gate,
});

/** The passes that a run begins with. */
export function decide({ head, choice, stay, gate, memory }: Situation): Pass[] {
  const { wayBack, accepted } = memory;
  if (gate?.kind === 'pause') return [pass('look', head, LOOK, gate)];
  // Where it should stay it may not go: what runs is kept in repair, and nothing else is done.
  if (choice.act === 'stay' && stay !== null && stay.hold !== null)
    return accepted === null
      ? [pass('look', head, LOOK, choice.gate)]
      : [pass('keep', accepted, wayBack?.to === accepted ? WAY_BACK : REPAIR)];
  if (choice.act === 'stay') return [pass('stay', choice.on, wayBack?.to === choice.on ? WAY_BACK : STAY)];
  if (gate !== null) return hold(head, gate, memory);
  // Without the server, the commit that a way back leads to stands in for the head.
  if (wayBack?.to === head) return [pass('repair', head, WAY_BACK)];
  if (choice.act === 'repair') return [pass('repair', head, REPAIR)];
  return [pass('try', head, TRY)];
}

/** The head waits: what was accepted is kept in repair, then it is shown what the head would change. */
const hold = (head: string, gate: Gate, memory: Remembered): Pass[] => [
  ...keep(head, memory),
  pass('look', head, LOOK, gate),
];

const keep = (head: string, { accepted, wayBack }: Remembered): Pass[] =>
  accepted === null || accepted === head ? [] : [pass('keep', accepted, wayBack?.to === accepted ? WAY_BACK : REPAIR)];

/** What is to be remembered of a pass, before anything follows from it. */
export type Note =
  /** Repairs go by this commit from now on; `good`: everything under it is well. */
  | { type: 'accept'; commit: string; good: boolean }
  /** The head did not settle: it is bad, and the last good commit is applied. */
  | { type: 'take back'; wayBack: WayBack; isSilence: boolean }
  /**
   * `innocent`: taking the commit back did not help, so that it is not bad and is tried again; `failed`: what ran before did
   * not become well either.
   */
  | { type: 'way back ended'; content: string; innocent: boolean; failed?: true };

export interface Conclusion {
  note: Note | null;
  next: Pass[];
}

const NOTHING: Conclusion = { note: null, next: [] };

export interface Concluding {
  situation: Situation;
  /** As it stands now. */
  memory: Remembered;
  /** Names of the endpoints that the commit on trial cut off. */
  lost: readonly string[];
  /** They are merely silent: no proof against the commit. */
  isSilence: boolean;
}

/** What follows from a pass over a commit. @param outcome null if the commit could not be read */
export function conclude(done: CommitPass, outcome: Outcome | null, given: Concluding): Conclusion {
  const { memory } = given;
  // The try let go of the way back; what is kept instead of the head goes it all the same.
  const asBegun = { ...memory, wayBack: given.situation.memory.wayBack };
  if (done.role === 'look') return NOTHING;
  if (done.role === 'keep')
    return done.on === memory.wayBack?.to ? endOfWayBack(outcome?.verdict ?? 'open', memory) : NOTHING;
  // It cannot be applied, or says nothing to this host: what runs is still looked after.
  if (done.role === 'stay' && !isApplied(outcome) && (outcome?.gate ?? null) === null)
    return { note: null, next: keep(done.on, asBegun) };
  if (done.role === 'stay' || done.role === 'back') return settledOn(done, outcome, given);
  if (outcome === null) return NOTHING;
  if (done.role === 'try' && outcome.gate?.kind === 'prune')
    return { note: null, next: hold(done.on, outcome.gate, asBegun) };
  // Refused, or of no meaning to this host, or it could not even be begun. A gate is none of these.
  if (done.role === 'try' && (outcome.rejected || (outcome.verdict === 'untouched' && outcome.gate === null)))
    return { note: null, next: keep(done.on, asBegun) };
  return judged(done.on, outcome, given);
}

/** After a pass over another commit than the head. */
function settledOn({ role, on: commit }: CommitPass, outcome: Outcome | null, given: Concluding): Conclusion {
  const { memory, situation } = given;
  const isWell = outcome !== null && !outcome.rejected && isProven(outcome.verdict);
  // What cannot be read any more, or does not pass, proves nothing; nor is it tried for ever.
  const end = outcome === null || outcome.rejected ? brokenWayBack(memory) : endOfWayBack(outcome.verdict, memory);
  if (isWell) return { note: { type: 'accept', commit, good: false }, next: end.next };
  // A person wants this very commit here, well or not: drift is what differs from it.
  const isPinned = role === 'stay' && situation.choice.act === 'stay' && situation.choice.gate?.kind === 'pin';
  if (isPinned && isApplied(outcome) && end.note === null)
    return { note: { type: 'accept', commit, good: false }, next: end.next };
  return end;
}

/** Something of the commit was done, or would have been had it not been there already. */
const isApplied = (outcome: Outcome | null): boolean =>
  outcome !== null && !outcome.rejected && outcome.verdict !== 'untouched';

/** Whether a commit has proved itself, is still open, or is taken back. */
function judged(commit: string, outcome: Outcome, { situation, memory, lost, isSilence }: Concluding): Conclusion {
  const { content, rollback } = situation;
  const { accepted, lastGood, lastGoodContent } = memory;
  const end = endOfWayBack(outcome.verdict, memory);
  if (isProven(outcome.verdict)) return { note: { type: 'accept', commit, good: true }, next: end.next };
  // Repairs of what was accepted never go back, and what is open is the next run's.
  if (accepted === commit || outcome.verdict !== 'unwell') return end;
  // There is nothing to go back to: from here on it is repaired like any accepted commit.
  if (rollback === 'off' || lastGood === null || lastGoodContent === content)
    return { note: { type: 'accept', commit, good: false }, next: [] };
  const wayBack = { from: commit, content, to: lastGood, endpoints: lost };
  return { note: { type: 'take back', wayBack, isSilence }, next: [pass('back', lastGood, WAY_BACK)] };
}

/** What needs a hand on this host speaks against no commit. */
const isProven = (verdict: Outcome['verdict']): boolean => verdict === 'well' || verdict === 'partly';

/** A way back that was brought to its end is judged. If what ran before did not become well either, the commit was innocent. */
function endOfWayBack(verdict: Outcome['verdict'], { wayBack }: Remembered): Conclusion {
  if (wayBack === null) return NOTHING;
  if (isProven(verdict)) return { note: null, next: [{ role: 'reconnect', wayBack }] };
  if (verdict !== 'unwell') return NOTHING;
  return { note: { type: 'way back ended', content: wayBack.content, innocent: true, failed: true }, next: [] };
}

const brokenWayBack = ({ wayBack }: Remembered): Conclusion =>
  wayBack === null
    ? NOTHING
    : { note: { type: 'way back ended', content: wayBack.content, innocent: false }, next: [] };

/**
 * What follows when everything was taken back and the endpoints were asked again.
 * @param isLost some stayed out of reach: the commit was innocent
 * @param head the commit that the run is about
 */
export function concludeWayBack({ from, content }: WayBack, head: string, { isLost }: { isLost: boolean }): Conclusion {
  return {
    note: { type: 'way back ended', content, innocent: isLost },
    next: isLost && from === head ? [pass('again', head, TRY)] : [],
  };
}
