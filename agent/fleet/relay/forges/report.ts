/** The report of a commit for a forge: one state and one line. Pure. */
import { textWithoutCredentials } from '../../../core/credentials/credentials.ts';
import type { Progress } from './progress.ts';

/** `superseded`: a newer commit came before all hosts had this one. */
export const REPORT_STATES = ['pending', 'success', 'failure', 'superseded'] as const;
export type ReportState = (typeof REPORT_STATES)[number];

export interface Report {
  state: ReportState;
  /** At most `MOST_LETTERS`. */
  text: string;
  hosts: number;
  /** Number of these hosts that run the commit. */
  done: number;
}

/** Limit of GitHub (https://docs.github.com/rest/commits/statuses answers 422); others show no more. */
export const MOST_LETTERS = 140;

/** @param hasSucceeded success was reported before: hosts that are busy or offline later do not revoke it */
export function reportOf(progress: Progress, { hasSucceeded }: { hasSucceeded: boolean }): Report {
  const { hosts, done, failed, problem } = progress;
  const all = `${done} of ${count(hosts)}`;
  if (failed > 0 && problem !== null)
    return { state: 'failure', text: line(`${all}; ${failed} failed. ${problem.host}: ${problem.says}`), hosts, done };
  const isDone = done > 0 && done + progress.offline === hosts;
  return {
    state: isDone || hasSucceeded ? 'success' : 'pending',
    text: line(`${all}${besides(progress)}`),
    hosts,
    done,
  };
}

/** @param before the last line that was reported @param by the newer commit */
export const supersededBy = (by: string, before: Report): Report => ({
  ...before,
  state: 'superseded',
  text: line(`${before.text}; superseded by ${by.slice(0, 7)}`),
});

function besides({ unwell, held, offline }: Progress): string {
  const parts = [
    ...(held > 0 ? [`${held} held`] : []),
    ...(offline > 0 ? [`${offline} offline`] : []),
    ...(unwell > 0 ? [`${unwell} not healthy`] : []),
  ];
  return parts.length === 0 ? '' : `; ${parts.join(', ')}`;
}

const count = (hosts: number): string => `${hosts} host${hosts === 1 ? '' : 's'}`;

/** Texts of hosts are not trusted, and everybody with access to the repository can read them. */
function line(text: string): string {
  const plain = textWithoutCredentials(text.replaceAll(/[\s\p{Cc}\p{Cf}]+/gu, ' ')).trim();
  return plain.length <= MOST_LETTERS ? plain : `${plain.slice(0, MOST_LETTERS - 1).toWellFormed()}…`;
}
