/** What the passes of a run add up to, as status and history show it. Pure. */
import { reasonOf } from '../../../manifests-schema/reasons.ts';
import type { Hold } from '../../core/provider.ts';
import { type Choice, type Culprit, problemsOf } from '../../core/target.ts';
import type { CommitInfo, Problem } from '../../core/types.ts';
import type { Outcome } from '../types.ts';

const short = (commit: string): string => commit.slice(0, 7);

/** The head waits: it is shown what it would change, and what was repaired meanwhile. */
export const withKept = (looked: Outcome, kept: Outcome | null): Outcome => ({
  ...looked,
  actions: [...(kept?.actions ?? []), ...looked.actions],
  problems: [...looked.problems, ...(kept?.problems ?? [])],
});

/** The head is refused as a whole. The host keeps what it runs, and what it runs is still repaired. */
export const refusedKeeping = (refused: Outcome, kept: Outcome): Outcome => ({
  ...refused,
  actions: kept.actions,
  resources: kept.resources,
  problems: [...refused.problems, ...kept.problems],
});

/** The host stays on another commit than the head. */
export function stayed(kept: Outcome, head: CommitInfo, choice: Extract<Choice, { act: 'stay' }>): Outcome {
  // What the repository asks for is the head all the same.
  if (kept.rejected || kept.verdict === 'untouched') return { ...kept, commit: head, gate: kept.gate ?? choice.gate };
  // That it failed stays said until all is well there: a run that had nothing to do put nothing right.
  const isFailed = choice.failed !== undefined && kept.verdict !== 'well';
  return {
    ...kept,
    commit: head,
    gate: choice.gate ?? kept.gate,
    problems: [...(choice.problem ? problemsOf(choice.problem) : []), ...kept.problems],
    hostStates: [...kept.hostStates, isFailed ? 'failed' : choice.sync],
    reason: isFailed ? 'RollbackFailed' : choice.reason,
    message: choice.message,
  };
}

/** The host is to stay on another commit, and may not go there: it keeps what it runs. */
export function strayed(kept: Outcome, head: CommitInfo, { reason, message }: Hold): Outcome {
  // What is held is as somebody wants it; what cannot be had is not.
  const isOutage = reasonOf(reason).fault === 'wait';
  const problem: Problem = { id: 'repository', reason, message, file: null, line: null };
  return {
    ...kept,
    commit: head,
    gate: kept.gate ?? { kind: 'review', reason: message, until: null },
    problems: isOutage ? [problem, ...kept.problems] : kept.problems,
    hostStates: [...kept.hostStates, isOutage ? 'failed' : 'held'],
    reason,
    message,
  };
}

/** However its resources look meanwhile: it has not proved itself. */
export const unproven = (outcome: Outcome): Outcome => ({
  ...outcome,
  hostStates: [...outcome.hostStates, 'progressing'],
});

/** What a commit that did not settle is remembered by. */
export function culpritOf({ problems, reason, message }: Pick<Outcome, 'problems' | 'reason' | 'message'>): Culprit {
  const [first, ...more] = problems;
  if (first === undefined) return { id: '', reason: reason || 'ApplyFailed', message, file: null, line: null };
  const others = more.slice(0, MAX_OTHERS);
  return others.length > 0 ? { ...first, others } : first;
}

/** As many as status shows, but one. */
const MAX_OTHERS = 19;

/** @param tried the head, which did not settle @param back what came of going back; null if that commit could not be read */
export function takenBack(tried: Outcome, back: Outcome | null, head: CommitInfo, to: string): Outcome {
  const culprit = culpritOf(tried);
  const isBack = back !== null && !back.rejected && (back.verdict === 'well' || back.verdict === 'partly');
  // Broken off, or an outage: the next run stays on the way back.
  const isOnTheWay = back !== null && !back.rejected && back.verdict === 'open';
  const failed = back?.problems[0];
  const why = failed && `${failed.id}: ${failed.message}`;
  const came = isBack
    ? `; this host was taken back to ${short(to)}`
    : isOnTheWay
      ? `; this host is on its way back to ${short(to)}, which the next run goes on with${why ? ` (${why})` : ''}`
      : back === null || back.rejected
        ? `, and going back to ${short(to)} failed as well (${why ?? 'it cannot be read any more, or may not be applied; the log says why'}); nothing more is undone, fix it by a new commit`
        : `, and ${short(to)}, which ran before, did not become well again (${why}): the commit is not bad. It is tried again by itself, or now with \`fairlead sync\``;
  return {
    ...(back ?? tried),
    commit: head,
    actions: [...tried.actions, ...(back?.actions ?? [])],
    problems: [...problemsOf(culprit), ...(back?.problems ?? [])],
    hostStates: [...(back?.hostStates ?? []), isBack || isOnTheWay ? 'rolled-back' : 'failed'],
    reason: isBack || isOnTheWay ? culprit.reason : 'RollbackFailed',
    message: `commit ${short(head.commit)} did not settle (${culprit.id}: ${culprit.message})${came}`,
    rollback: { from: head.commit, to, well: isBack },
  };
}

/** The commit was innocent and came again; both ways are told. */
export const cameAgain = (again: Outcome, back: Outcome): Outcome => ({
  ...again,
  actions: [...back.actions, ...again.actions],
});

/** An outage that no commit has to do with. */
export const withOutage = (outcome: Outcome, problem: Problem): Outcome => ({
  ...outcome,
  problems: [problem, ...outcome.problems],
});
