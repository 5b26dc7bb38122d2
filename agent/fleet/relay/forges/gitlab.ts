/**
 * GitLab, in the cloud and self-hosted: commit statuses and deployments.
 *
 * - https://docs.gitlab.com/api/commits/#set-commit-pipeline-status
 * - https://docs.gitlab.com/api/deployments/#create-a-deployment and #update-a-deployment
 */
import type { ReportState } from './report.ts';
import { contextOf, type ForgeRules, idOf, rootAt, type Subject, textAt } from './rules.ts';

const STATUS = {
  pending: 'running',
  success: 'success',
  failure: 'failed',
  superseded: 'canceled',
} as const satisfies Record<ReportState, string>;

const projectOf = ({ repository }: Subject): string => `/projects/${encodeURIComponent(repository)}`;
const linked = ({ link }: Subject) => (link === undefined ? {} : { target_url: link });

export const gitlab: ForgeRules = {
  rootOf: (url = 'https://gitlab.com') => rootAt(url, '/api/v4'),
  headers: (token) => ({ accept: 'application/json', 'private-token': token }),
  status(subject, { state, text, hosts }, before) {
    // GitLab accepts `running` only once (400), so its description must not contain a growing number.
    if (state === 'pending' && before?.state === 'pending') return null;
    return {
      method: 'POST',
      path: `${projectOf(subject)}/statuses/${subject.commit}`,
      body: {
        state: STATUS[state],
        name: contextOf(subject),
        description: state === 'pending' ? `on the way to ${hosts} host${hosts === 1 ? '' : 's'}` : text,
        ...(subject.ref === '' ? {} : { ref: subject.ref }),
        ...linked(subject),
      },
    };
  },
  mayBeKnown: ({ state }) => state === 'pending',
  deployments: {
    find(subject) {
      const query = new URLSearchParams({
        environment: subject.environment,
        order_by: 'id',
        sort: 'desc',
        per_page: '20',
      });
      return { method: 'GET', path: `${projectOf(subject)}/deployments?${query}` };
    },
    foundIn: (answer, { commit }) =>
      idOf((Array.isArray(answer) ? answer : []).find((one) => textAt(one, 'sha') === commit)),
    make: (subject, state) => ({
      method: 'POST',
      path: `${projectOf(subject)}/deployments`,
      body: {
        environment: subject.environment,
        sha: subject.commit,
        // Required; a commit id is accepted as a ref.
        ref: subject.ref || subject.commit,
        tag: false,
        status: STATUS[state],
      },
    }),
    stateWhenMade: (state) => state,
    // An ended deployment never runs again.
    tell: (subject, { id }, { state }) =>
      state === 'pending'
        ? null
        : { method: 'PUT', path: `${projectOf(subject)}/deployments/${id}`, body: { status: STATUS[state] } },
  },
};
