/** Outcomes of commits that were not applied, and problems in the form of status. Pure. */
import type { Step } from '../../core/plan/plan.ts';
import type { Checkout, Issue, Problem } from '../../core/types.ts';
import type { AgentError } from '../../errors.ts';
import type { Loaded, Outcome } from '../types.ts';

const short = (checkout: Checkout): string => checkout.info.commit.slice(0, 7);

export interface RejectedOptions {
  checkout: Checkout;
  loaded: Loaded;
  problems: Problem[];
  /** False if this host already runs this commit, which became invalid by a change on the host: a lost key, say. */
  isNew: boolean;
}

export function rejected({ checkout, loaded, problems, isNew }: RejectedOptions): Outcome {
  const first = problems[0];
  const count = problems.length === 1 ? 'an error' : `${problems.length} errors`;
  const what = isNew
    ? `has ${count} and was not applied`
    : `was applied before and has ${count} now; nothing was changed`;
  const message = `commit ${short(checkout)} ${what}: ${first?.message ?? ''}`;
  return {
    ...empty(checkout, loaded),
    rejected: true,
    problems,
    hostStates: ['failed'],
    reason: first?.reason === 'AgentTooOld' ? first.reason : 'InvalidCommit',
    message,
  };
}

export function unassigned(checkout: Checkout, loaded: Loaded): Outcome {
  const what = checkout.hostExists ? 'declares nothing' : 'does not exist';
  const message = `${checkout.hostPath} ${what} in commit ${short(checkout)}; nothing was removed. Add manifests there, or set repo.path`;
  return { ...empty(checkout, loaded), hostStates: ['unassigned'], reason: 'Unassigned', message };
}

/** The commit was not started, because its start could not be recorded. */
export function notBegun(checkout: Checkout, loaded: Loaded, error: AgentError): Outcome {
  const message = `commit ${short(checkout)} waits: ${error.message}`;
  return { ...empty(checkout, loaded), hostStates: ['failed'], reason: error.code, message };
}

const empty = (checkout: Checkout, loaded: Loaded): Outcome => ({
  rejected: false,
  commit: checkout.info,
  mode: loaded.host.mode,
  labels: loaded.labels,
  gate: null,
  verdict: 'untouched',
  converged: null,
  actions: [],
  resources: [],
  problems: [],
  warnings: warningsOf(loaded),
  hostStates: [],
  reason: '',
  message: '',
});

export const warningsOf = ({ issues }: Pick<Loaded, 'issues'>): Issue[] =>
  issues.filter(({ severity }) => severity === 'warning');

export const issueProblem = (issue: Issue): Problem => ({
  id: issue.key,
  reason: issue.reason ?? 'InvalidManifest',
  message: issue.message,
  file: issue.file,
  line: issue.line,
});

export function stepProblem({ want }: Step, error: AgentError | undefined): Problem {
  const { file, line } = want.origin;
  return { id: want.id, reason: error?.code ?? 'PrepareFailed', message: error?.message ?? '', file, line };
}
