/**
 * Gitea and Forgejo: commit statuses; they have no deployments.
 *
 * - https://docs.gitea.com/api/next/#tag/repository/operation/repoCreateStatus, with `CreateStatusOption` as its body
 * - https://docs.gitea.com/development/api-usage#authentication
 */
import type { ReportState } from './report.ts';
import { type ForgeRules, pathOf, rootAt, statusBody } from './rules.ts';

/** A superseded commit is neither a success nor a failure. */
const STATUS = {
  pending: 'pending',
  success: 'success',
  failure: 'failure',
  superseded: 'pending',
} as const satisfies Record<ReportState, string>;

export const gitea: ForgeRules = {
  rootOf: (url = '') => rootAt(url, '/api/v1'),
  headers: (token) => ({ accept: 'application/json', authorization: `token ${token}` }),
  status: (subject, { state, text }) => ({
    method: 'POST',
    path: `/repos/${pathOf(subject.repository)}/statuses/${subject.commit}`,
    body: statusBody(subject, STATUS[state], text),
  }),
  deployments: null,
};
