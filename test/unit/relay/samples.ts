/** Webhooks as the forges publish them: the samples of their documentation, in which only long lists are shortened. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Forge } from '../../../manifests-schema/relay.ts';

interface Sample {
  forge: Forge;
  name: string;
  headers: Record<string, string>;
  body: unknown;
  repository: string;
  pushes: { ref: string; commit: string }[];
}

interface Example {
  name: string;
  examples: Record<string, unknown>[];
}

/** Events that GitHub sent, collected in @octokit/webhooks-examples. */
const octokit = JSON.parse(
  readFileSync(createRequire(import.meta.url).resolve('@octokit/webhooks-examples/api.github.com/index.json'), 'utf8'),
) as Example[];

const GITHUB: Sample[] = (octokit.find(({ name }) => name === 'push')?.examples ?? []).map((body, at) => {
  const { ref, deleted, after, head_commit, repository } = body as {
    ref: string;
    deleted: boolean;
    after: string;
    head_commit: { id: string } | null;
    repository: { full_name: string };
  };
  return {
    forge: 'github',
    name: `push ${at}`,
    headers: { 'x-github-event': 'push', 'x-github-delivery': `72d3162e-cc78-11e3-81ab-4c9367dc09${at}` },
    body,
    repository: repository.full_name,
    pushes: deleted ? [] : [{ ref, commit: head_commit?.id ?? after }],
  };
});

/** https://docs.gitlab.com/user/project/integrations/webhook_events/ */
const DIASPORA = {
  id: 15,
  name: 'Diaspora',
  namespace: 'Mike',
  path_with_namespace: 'mike/diaspora',
  default_branch: 'master',
};
const GITLAB: Sample[] = [
  {
    forge: 'gitlab',
    name: 'push events',
    headers: { 'x-gitlab-event': 'Push Hook', 'x-gitlab-event-uuid': '13792a34-cac6-4fda-95a8-c58e00a3954e' },
    body: {
      object_kind: 'push',
      event_name: 'push',
      before: '95790bf891e76fee5e1747ab589903a6a1f80f22',
      after: 'da1560886d4f094c3e6c9ef40349f7d38b5d27d7',
      ref: 'refs/heads/master',
      checkout_sha: 'da1560886d4f094c3e6c9ef40349f7d38b5d27d7',
      user_id: 4,
      user_name: 'John Smith',
      project_id: 15,
      project: DIASPORA,
      commits: [],
      total_commits_count: 4,
    },
    repository: 'mike/diaspora',
    pushes: [{ ref: 'refs/heads/master', commit: 'da1560886d4f094c3e6c9ef40349f7d38b5d27d7' }],
  },
  {
    forge: 'gitlab',
    name: 'tag events',
    headers: { 'x-gitlab-event': 'Tag Push Hook', 'x-gitlab-event-uuid': '13792a34-cac6-4fda-95a8-c58e00a3954f' },
    body: {
      object_kind: 'tag_push',
      event_name: 'tag_push',
      before: '0000000000000000000000000000000000000000',
      after: '82b3d5ae55f7080f1e6022629cdb57bfae7cccc7',
      ref: 'refs/tags/v1.0.0',
      checkout_sha: '5937ac0a7beb003549fc5fd26fc247adbce4a52e',
      project_id: 1,
      project: DIASPORA,
      commits: [],
      total_commits_count: 0,
    },
    repository: 'mike/diaspora',
    pushes: [{ ref: 'refs/tags/v1.0.0', commit: '5937ac0a7beb003549fc5fd26fc247adbce4a52e' }],
  },
  {
    forge: 'gitlab',
    name: 'a branch that is gone',
    headers: { 'x-gitlab-event': 'Push Hook' },
    body: {
      object_kind: 'push',
      before: '95790bf891e76fee5e1747ab589903a6a1f80f22',
      after: '0000000000000000000000000000000000000000',
      ref: 'refs/heads/old',
      checkout_sha: null,
      project: DIASPORA,
    },
    repository: 'mike/diaspora',
    pushes: [],
  },
];

/** https://docs.gitea.com/usage/webhooks; Forgejo sends the same. */
const GITEA: Sample[] = [
  {
    forge: 'gitea',
    name: 'push',
    headers: { 'x-gitea-event': 'push', 'x-gitea-delivery': 'f6266f16-1bf3-46a5-9ea4-602e06ead473' },
    body: {
      ref: 'refs/heads/develop',
      before: '28e1879d029cb852e4844d9c718537df08844e03',
      after: 'bffeb74224043ba2feb48d137756c8a9331c449a',
      commits: [{ id: 'bffeb74224043ba2feb48d137756c8a9331c449a', message: 'Webhooks Yay!' }],
      repository: { id: 140, owner: { id: 1, login: 'gitea' }, name: 'webhooks', full_name: 'gitea/webhooks' },
      pusher: { id: 1, login: 'gitea' },
    },
    repository: 'gitea/webhooks',
    pushes: [{ ref: 'refs/heads/develop', commit: 'bffeb74224043ba2feb48d137756c8a9331c449a' }],
  },
];

const BITBUCKET: Sample[] = [
  {
    forge: 'bitbucket',
    // https://support.atlassian.com/bitbucket-cloud/docs/event-payloads/#Push
    name: 'repo:push of the cloud',
    headers: { 'x-event-key': 'repo:push', 'x-request-uuid': '69c56047-577b-46f9-a1dd-9c4e27273bc1' },
    body: {
      actor: { type: 'user', display_name: 'Emma' },
      repository: { type: 'repository', name: 'repo_name', full_name: 'team_name/repo_name', scm: 'git' },
      push: {
        changes: [
          {
            new: {
              type: 'branch',
              name: 'name-of-branch',
              target: { type: 'commit', hash: '709d658dc5b6d6afcd46049c2f332ee3f515a67d' },
            },
            old: {
              type: 'branch',
              name: 'name-of-branch',
              target: { type: 'commit', hash: '1e65c05c1d5171631d92438a13901ca7dae9618c' },
            },
            created: false,
            closed: false,
            forced: false,
          },
          {
            new: null,
            old: { type: 'branch', name: 'gone', target: { hash: '1e65c05c1d5171631d92438a13901ca7dae9618c' } },
            closed: true,
          },
        ],
      },
    },
    repository: 'team_name/repo_name',
    pushes: [{ ref: 'refs/heads/name-of-branch', commit: '709d658dc5b6d6afcd46049c2f332ee3f515a67d' }],
  },
  {
    forge: 'bitbucket',
    // https://confluence.atlassian.com/bitbucketserver/event-payload-938025882.html#Eventpayload-Push
    name: 'repo:refs_changed of Data Center',
    headers: { 'x-event-key': 'repo:refs_changed', 'x-request-id': '8f7f7b8a-1f0a-4c0e-9c0c-6d5c1b1f8a11' },
    body: {
      eventKey: 'repo:refs_changed',
      date: '2017-09-13T22:50:05+1000',
      repository: {
        slug: 'repository',
        id: 84,
        name: 'repository',
        scmId: 'git',
        project: { key: 'PROJ', id: 84, name: 'project' },
      },
      changes: [
        {
          ref: { id: 'refs/heads/master', displayId: 'master', type: 'BRANCH' },
          refId: 'refs/heads/master',
          fromHash: 'ecddabb624f6f5ba43816f5926e580a5f680a932',
          toHash: '178864a7d521b6f5e720b386b2c2b0ef8563e0dc',
          type: 'UPDATE',
        },
      ],
    },
    repository: 'PROJ/repository',
    pushes: [{ ref: 'refs/heads/master', commit: '178864a7d521b6f5e720b386b2c2b0ef8563e0dc' }],
  },
];

export const SAMPLES: readonly Sample[] = [...GITHUB, ...GITLAB, ...GITEA, ...BITBUCKET];
