/** Combines the passes of a run into the outcome that status and history show. Pure. */
import { reasonOf } from '../../../manifests-schema/reasons.ts';
import { type Choice, type Culprit, problemsOf } from '../../core/plan/target.ts';
import type { Hold } from '../../core/provider.ts';
import type { CommitInfo, Problem } from '../../core/types.ts';
import type { Outcome } from '../types.ts';

const short = (commit: string): string => commit.slice(0, 7);

/** The head waits: shows what it would change, and what was repaired meanwhile. */
export const withKept = (looked: Outcome, kept: Outcome | null): Outcome => ({
  ...looked,
  actions: [...(kept?.actions ?? []), ...looked.actions],
  problems: [...looked.problems, ...(kept?.problems ?? [])],
});

/** The head is refused as a whole. The host keeps what it runs, and repairs of it go on. */
export const refusedKeeping = (refused: Outcome, kept: Outcome): Outcome => ({
  ...refused,
  actions: kept.actions,
  resources: kept.resources,
  problems: [...refused.problems, ...kept.problems],
});

/** The host stays on another commit than the head. */
export function stayed(kept: Outcome, head: CommitInfo, choice: Extract<Choice, { act: 'stay' }>): Outcome {
  // The repository still asks for the head.
  if (kept.rejected || kept.verdict === 'untouched') return { ...kept, commit: head, gate: kept.gate ?? choice.gate };
  // The failure stays reported until everything is well: a run without work did not fix it.
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

/** The host should stay on another commit, but the review refuses it, so it keeps what it runs. */
export function strayed(kept: Outcome, head: CommitInfo, { reason, message }: Hold): Outcome {
  // A hold is somebody's decision; an outage is not.
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

/** Reports the host as progressing, however its resources look: the commit has not proved itself. */
export const unproven = (outcome: Outcome): Outcome => ({
  ...outcome,
  hostStates: [...outcome.hostStates, 'progressing'],
});

/** The failures that are recorded with a commit that did not settle. */
export function culpritOf({ problems, reason, message }: Pick<Outcome, 'problems' | 'reason' | 'message'>): Culprit {
  const [first, ...more] = problems;
  if (first === undefined) return { id: '', reason: reason || 'ApplyFailed', message, file: null, line: null };
  const others = more.slice(0, MAX_OTHERS);
  return others.length > 0 ? { ...first, others } : first;
}

/** One less than status shows. */
const MAX_OTHERS = 19;

/**
 * @param tried the outcome of the head, which did not settle
 * @param back the outcome of the rollback; null if its target could not be read
 */
export function rolledBack(tried: Outcome, back: Outcome | null, head: CommitInfo, to: string): Outcome {
  const culprit = culpritOf(tried);
  const isBack = back !== null && !back.rejected && (back.verdict === 'well' || back.verdict === 'partly');
  // If the rollback was interrupted or met an outage, the next run continues it.
  const isOnTheWay = back !== null && !back.rejected && back.verdict === 'open';
  const failed = back?.problems[0];
  const why = failed && `${failed.id}: ${failed.message}`;
  const came = isBack
    ? `; this host was rolled back to ${short(to)}`
    : isOnTheWay
      ? `; this host is being rolled back to ${short(to)}, and the next run continues${why ? ` (${why})` : ''}`
      : back === null || back.rejected
        ? `, and the rollback to ${short(to)} failed as well (${why ?? 'it cannot be read any more, or may not be applied; the log says why'}); nothing more is undone, fix it by a new commit`
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

/** The commit was not the cause and was tried again: reports the rollback and the new try. */
export const triedAgain = (again: Outcome, back: Outcome): Outcome => ({
  ...again,
  actions: [...back.actions, ...again.actions],
});

/** Adds an outage that no commit caused. */
export const withOutage = (outcome: Outcome, problem: Problem): Outcome => ({
  ...outcome,
  problems: [problem, ...outcome.problems],
});
