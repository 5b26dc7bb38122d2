/**
 * GitHub, in the cloud and self-hosted: commit statuses and deployments.
 *
 * - https://docs.github.com/rest/commits/statuses#create-a-commit-status
 * - https://docs.github.com/rest/deployments/deployments and …/deployments/statuses
 *
 * The bodies are checked with GitHub's own types of its API (`@octokit/openapi-types`).
 */
import type { operations } from '@octokit/openapi-types';
import type { ReportState } from './report.ts';
import { type ForgeRules, idOf, pathOf, rootAt, type Subject, statusBody, textAt } from './rules.ts';

type Body<Name extends keyof operations> = operations[Name] extends {
  requestBody: { content: { 'application/json': infer B } };
}
  ? B
  : never;
type Query<Name extends keyof operations> = operations[Name] extends { parameters: { query?: infer Q } } ? Q : never;

/** Distinguishes deployments of this fleet from others for the same commit and environment. */
const taskOf = ({ fleet }: Subject): string => `deploy:fairlead:${fleet}`;
const HOME = 'https://api.github.com';

/** A superseded commit is neither a success nor a failure. */
const STATUS = { pending: 'pending', success: 'success', failure: 'failure', superseded: 'pending' } as const;
const DEPLOYMENT = { pending: 'in_progress', success: 'success', failure: 'failure', superseded: 'inactive' } as const;

export const github: ForgeRules = {
  rootOf(url) {
    if (url === undefined) return HOME;
    const { hostname = '', protocol = '' } = URL.parse(url) ?? {};
    if (hostname === 'github.com' || hostname === 'api.github.com') return HOME;
    // With data residency the API has its own host name; on a self-hosted server it is below a path.
    if (hostname.endsWith('.ghe.com')) return `${protocol}//${hostname.startsWith('api.') ? '' : 'api.'}${hostname}`;
    return rootAt(url, '/api/v3');
  },
  headers: (token) => ({
    accept: 'application/vnd.github+json',
    authorization: `Bearer ${token}`,
    'x-github-api-version': '2022-11-28',
  }),
  status: (subject, { state, text }) => ({
    method: 'POST',
    path: `/repos/${pathOf(subject.repository)}/statuses/${subject.commit}`,
    body: statusBody(subject, STATUS[state], text) satisfies Body<'repos/create-commit-status'>,
  }),
  deployments: {
    find(subject) {
      const { commit: sha, environment } = subject;
      const query = { sha, environment, task: taskOf(subject), per_page: 1 } satisfies Query<'repos/list-deployments'>;
      const text = new URLSearchParams({ ...query, per_page: String(query.per_page) });
      return { method: 'GET', path: `/repos/${pathOf(subject.repository)}/deployments?${text}` };
    },
    foundIn(answer, subject) {
      const ours = (Array.isArray(answer) ? answer : []).find(
        (one) => textAt(one, 'sha') === subject.commit && textAt(one, 'task') === taskOf(subject),
      );
      return idOf(ours);
    },
    make: (subject) => ({
      method: 'POST',
      path: `/repos/${pathOf(subject.repository)}/deployments`,
      body: {
        ref: subject.commit,
        task: taskOf(subject),
        environment: subject.environment,
        description: `fleet ${subject.fleet}`,
        // The hosts have the commit already: the forge must neither merge nor wait for checks.
        auto_merge: false,
        required_contexts: [],
      } satisfies Body<'repos/create-deployment'>,
    }),
    stateWhenMade: () => null,
    tell: (subject, { id }, { state, text }) => ({
      method: 'POST',
      path: `/repos/${pathOf(subject.repository)}/deployments/${id}/statuses`,
      body: {
        state: DEPLOYMENT[state],
        description: text,
        ...(subject.link === undefined ? {} : { log_url: subject.link }),
      } satisfies Body<'repos/create-deployment-status'>,
    }),
  },
};

/** The word of the forge for each state. */
STATUS satisfies Record<ReportState, string>;
DEPLOYMENT satisfies Record<ReportState, string>;
