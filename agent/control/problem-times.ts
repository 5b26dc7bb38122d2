/** Since when each problem lasts, and whose turn it is: of the same problem the first sight counts, over runs and restarts. */
import { reasonOf } from '../../manifests-schema/reasons.ts';
import type { Problem } from '../core/types.ts';

export interface ProblemTimes {
  /** Forgets what is not among these any more. */
  dated(problems: readonly Problem[], now: Date): Problem[];
}

const keyOf = ({ id, reason }: Problem): string => `${id} ${reason}`;

/** @param before problems as they were last shown, by an earlier start of the agent */
export function createProblemTimes(before: readonly Problem[]): ProblemTimes {
  let since = new Map(before.flatMap((p) => (p.since === undefined ? [] : [[keyOf(p), p.since]])));
  return {
    dated(problems, now) {
      const all = problems.map((p) => ({
        ...p,
        turn: p.turn ?? reasonOf(p.reason).fault,
        since: since.get(keyOf(p)) ?? now.toISOString(),
      }));
      since = new Map(all.map((p) => [keyOf(p), p.since]));
      return all;
    },
  };
}
