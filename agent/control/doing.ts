/** What a run is at now, for the status of a host at work: the commit that it is about, and the step under way. */
import type { SyncLine, Waiting } from '../core/progress.ts';
import type { CommitInfo } from '../core/types.ts';

export interface Doing {
  /** Takes in what a run tells of itself. @returns whether the status is another one by that */
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
  rollback: 'going back',
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
  if (phase === 'rollback') return detail ? `going back, because of ${detail}` : 'going back';
  return detail ? `waiting for ${detail}` : (WORDS[phase] ?? phase);
}
