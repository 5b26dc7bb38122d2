/** Tracks the run under way for the status: the commit that it is about, and its current step. */

import { syncOf } from '../core/plan/verdict.ts';
import type { SyncLine, Waiting } from '../core/progress.ts';
import type { AgentState } from '../core/reporting/status.ts';
import type { CommitInfo } from '../core/types.ts';

export interface Doing {
  /** Takes a progress line of a run. @returns whether the status has changed */
  take(line: SyncLine): boolean;
  /** The run has ended. */
  end(): void;
  /** null while nothing is done to the host. */
  now(): { commit: CommitInfo | null; text: string; waiting: readonly Waiting[] } | null;
}

/** Phases that a run goes through only where there is something to do. */
const WORDS: Readonly<Record<string, string>> = {
  prepare: 'preparing',
  apply: 'applying',
  settle: 'waiting for resources to become healthy',
  rollback: 'rolling back',
};
/** At most this many waits are named; the others are counted. */
const NAMED = 3;

export function createDoing(): Doing {
  let commit: CommitInfo | null = null;
  let phase: Extract<SyncLine, { type: 'phase' }> | null = null;
  let pull: Extract<SyncLine, { type: 'progress' }> | null = null;
  let works = false;
  return {
    take(line) {
      if (line.type === 'commit') commit = line.commit;
      pull = line.type === 'progress' ? line : line.type === 'action' ? pull : null;
      const isWork = line.type === 'action' || (line.type === 'phase' && line.phase in WORDS);
      if (!isWork) return false;
      const isNews =
        !works || (line.type === 'phase' && (line.phase !== phase?.phase || waitsFor(line) !== waitsFor(phase)));
      works = true;
      if (line.type === 'phase') phase = line;
      return isNews;
    },
    end() {
      commit = null;
      phase = null;
      pull = null;
      works = false;
    },
    now() {
      if (!works) return null;
      if (pull !== null) return { commit, text: `pulling ${pull.image}`, waiting: [] };
      return { commit, text: phase === null ? 'applying' : phaseText(phase), waiting: phase?.waiting ?? [] };
    },
  };
}

const waitsFor = (phase: Extract<SyncLine, { type: 'phase' }> | null): string =>
  (phase?.waiting ?? []).map(({ id }) => id).join(' ');

function phaseText({ phase, detail, waiting = [] }: Extract<SyncLine, { type: 'phase' }>): string {
  const named = waiting.slice(0, NAMED).map(({ id, message }) => (message ? `${id}: ${message}` : id));
  const more = waiting.length > NAMED ? ` and ${waiting.length - NAMED} more` : '';
  if (named.length > 0) return `waiting for ${named.join('; ')}${more}`;
  if (phase === 'rollback') return detail ? `rolling back, because of ${detail}` : 'rolling back';
  return detail ? `waiting for ${detail}` : (WORDS[phase] ?? phase);
}

/**
 * The status of a host at work: the commit on trial, and the current step. Problems stay in the status until the run has
 * solved them. Only the verdict on the previous commit says nothing about a commit on trial.
 */
export function atWork(
  state: AgentState,
  { commit, text }: Pick<NonNullable<ReturnType<Doing['now']>>, 'commit' | 'text'>,
  trial: string | null,
): Pick<AgentState, 'desired' | 'hostStates' | 'reason' | 'message'> {
  const isTrial = commit !== null && commit.commit === trial;
  const doing = isTrial ? `trying commit ${commit.commit.slice(0, 7)}: ${text}` : text;
  const { reason, message } = isTrial ? worstOf(state) : state;
  return {
    desired: commit ?? state.desired,
    hostStates: isTrial ? ['progressing'] : [...state.hostStates, 'progressing'],
    reason,
    message: reason === '' ? doing : `${doing}; until now: ${message}`,
  };
}

/** Why the host is worse than at work, by its resources. */
function worstOf({ resources, problems }: AgentState): Pick<AgentState, 'reason' | 'message'> {
  const sync = syncOf(resources, ['progressing']);
  const worst = resources.find((r) => r.sync === sync && sync !== 'progressing');
  const problem = problems.find(({ id }) => id === worst?.id);
  return { reason: worst?.reason ?? '', message: problem ? `${problem.id}: ${problem.message}` : '' };
}
