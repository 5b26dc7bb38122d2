/**
 * Requests to forges, as a real server on loopback receives them: method, path, headers and body are compared with the
 * documentation of each forge. The compiler checks the bodies for GitHub as well (`@octokit/openapi-types`).
 *
 * GitHub: https://docs.github.com/rest/commits/statuses, https://docs.github.com/rest/deployments
 *
 * GitLab: https://docs.gitlab.com/api/commits/#set-commit-pipeline-status, https://docs.gitlab.com/api/deployments/, and the
 * parameters that lib/api/commit_statuses.rb and lib/api/deployments.rb declare
 *
 * Gitea: `repoCreateStatus` and `CreateStatusOption` of https://docs.gitea.com/api/, templates/swagger/v1_json.tmpl
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { type Answer, createCaller } from '../../../agent/fleet/relay/forges/call.ts';
import type { Report, ReportState } from '../../../agent/fleet/relay/forges/report.ts';
import type { Call, Subject } from '../../../agent/fleet/relay/forges/rules.ts';
import { RULES } from '../../../agent/fleet/relay/forges/statuses.ts';
import { STATUS_FORGES, type StatusSettings } from '../../../manifests-schema/relay.ts';
import { NEW } from './fleet-rows.ts';

type Forge = StatusSettings['forge'];
type Respond = (response: http.ServerResponse) => void;

const TOKEN = 't0ken-of-the-forge';
const STATES: readonly ReportState[] = ['pending', 'success', 'failure', 'superseded'];
let dir = '';
let server: http.Server;
let origin = '';
let requests: { method: string; url: URL; headers: http.IncomingHttpHeaders; body: unknown }[];
let respond: Respond;
const secrets: string[] = [];

beforeEach(async () => {
  dir = mkdtempSync(path.join(os.tmpdir(), 'fairlead-forges-'));
  writeFileSync(path.join(dir, 'token'), `${TOKEN}\n`);
  requests = [];
  secrets.length = 0;
  respond = (response) => response.writeHead(201).end('{"id":42}');
  server = http.createServer((incoming, response) => {
    let text = '';
    incoming.setEncoding('utf8');
    incoming.on('data', (part: string) => {
      text += part;
    });
    incoming.on('end', () => {
      const { method = '', url = '', headers } = incoming;
      requests.push({ method, url: new URL(url, origin), headers, body: text === '' ? null : JSON.parse(text) });
      respond(response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
  rmSync(dir, { recursive: true, force: true });
});

const repositoryOf = (forge: Forge): string => (forge === 'gitlab' ? 'acme/ops/fleet' : 'acme/fleet');
const subjectOf = (forge: Forge, more: Partial<Subject> = {}): Subject => ({
  ...{ repository: repositoryOf(forge), commit: NEW, ref: 'main', fleet: 'shop', environment: 'production' },
  ...{ link: 'https://fleet.example.com/', ...more },
});
const reportOf = (state: ReportState): Report => ({ state, text: '412 of 500 hosts', hosts: 500, done: 412 });

const send = (forge: Forge, call: Call, more: Partial<StatusSettings> = {}, now = Date.now()): Promise<Answer> =>
  createCaller({
    settings: { forge, repository: repositoryOf(forge), url: origin, tokenFile: path.join(dir, 'token'), ...more },
    ...{ rules: RULES[forge], env: {}, now: () => now, timeoutMs: 60_000 },
    secret: (text) => void secrets.push(text),
  })(call, new AbortController().signal);

async function sent(forge: Forge, call: Call | null) {
  if (call === null) throw new Error('there is no such request');
  expect(await send(forge, call)).toMatchObject({ kind: 'done' });
  const request = requests.at(-1);
  if (request === undefined) throw new Error('nothing came');
  const { method, url, headers, body } = request;
  return { line: `${method} ${url.pathname}`, query: Object.fromEntries(url.searchParams), headers, body };
}

describe('GitHub', () => {
  const status = z.strictObject({
    state: z.enum(['error', 'failure', 'pending', 'success']),
    target_url: z.url(),
    description: z.string().max(140),
    context: z.string(),
  });
  const { deployments } = RULES.github;

  test.each(STATES)('a commit status: %s', async (state) => {
    const { line, body, headers } = await sent(
      'github',
      RULES.github.status(subjectOf('github'), reportOf(state), null),
    );
    expect(line).toBe(`POST /api/v3/repos/acme/fleet/statuses/${NEW}`);
    expect(status.parse(body)).toMatchObject({ context: 'fairlead/shop', description: '412 of 500 hosts' });
    expect(headers).toMatchObject({
      ...{ authorization: `Bearer ${TOKEN}`, accept: 'application/vnd.github+json' },
      ...{ 'x-github-api-version': '2022-11-28', 'content-type': 'application/json', 'user-agent': 'fairlead' },
    });
  });

  test('a deployment is searched for, created, and updated', async () => {
    const subject = subjectOf('github');
    const task = 'deploy:fairlead:shop';
    const found = await sent('github', deployments?.find(subject) ?? null);
    expect(found).toMatchObject({ line: 'GET /api/v3/repos/acme/fleet/deployments', body: null });
    expect(found.query).toEqual({ sha: NEW, environment: 'production', task, per_page: '1' });
    const made = await sent('github', deployments?.make(subject, 'pending') ?? null);
    expect(made.line).toBe('POST /api/v3/repos/acme/fleet/deployments');
    expect(made.body).toEqual({
      ...{ ref: NEW, task, environment: 'production', description: 'fleet shop' },
      ...{ auto_merge: false, required_contexts: [] },
    });
    for (const [state, word] of Object.entries({
      pending: 'in_progress',
      success: 'success',
      superseded: 'inactive',
    })) {
      const of = { id: 42, state: null };
      const told = await sent('github', deployments?.tell(subject, of, reportOf(state as ReportState)) ?? null);
      expect(told.line).toBe('POST /api/v3/repos/acme/fleet/deployments/42/statuses');
      expect(told.body).toEqual({
        state: word,
        description: '412 of 500 hosts',
        log_url: 'https://fleet.example.com/',
      });
    }
  });

  test('only a deployment of this fleet and commit is used', () => {
    const task = 'deploy:fairlead:shop';
    const foundIn = (answer: unknown) => deployments?.foundIn(answer, subjectOf('github'));
    expect(
      foundIn([
        { id: 1, sha: NEW, task: 'deploy' },
        { id: 2, sha: NEW, task },
      ]),
    ).toBe(2);
    for (const answer of [null, {}, [], [null, 7, { id: 'x', sha: NEW, task }], [{ id: 3, sha: 'other', task }]])
      expect(foundIn(answer)).toBe(null);
  });

  test.each([
    [undefined, 'https://api.github.com'],
    ['https://github.com', 'https://api.github.com'],
    ['https://api.github.com/', 'https://api.github.com'],
    ['https://acme.ghe.com', 'https://api.acme.ghe.com'],
    ['https://api.acme.ghe.com', 'https://api.acme.ghe.com'],
    ['https://git.example.com', 'https://git.example.com/api/v3'],
    ['https://git.example.com/api/v3/', 'https://git.example.com/api/v3'],
  ])('the API of %s is at %s', (url, root) => {
    expect(RULES.github.rootOf(url)).toBe(root);
  });
});

describe('GitLab', () => {
  const status = z.strictObject({
    state: z.enum(['pending', 'running', 'success', 'failed', 'canceled', 'skipped']),
    ref: z.string().max(255).optional(),
    name: z.string(),
    target_url: z.url().max(255),
    description: z.string().max(255),
  });
  const deployment = z.strictObject({
    environment: z.string(),
    sha: z.string().length(40),
    ref: z.string(),
    tag: z.boolean(),
    status: z.enum(['running', 'success', 'failed', 'canceled']),
  });
  const { deployments } = RULES.gitlab;

  test.each([
    ['pending', 'running'],
    ['success', 'success'],
    ['failure', 'failed'],
    ['superseded', 'canceled'],
  ] as const)('a commit status: %s', async (state, word) => {
    const { line, body, headers } = await sent(
      'gitlab',
      RULES.gitlab.status(subjectOf('gitlab'), reportOf(state), null),
    );
    expect(line).toBe(`POST /api/v4/projects/acme%2Fops%2Ffleet/statuses/${NEW}`);
    expect(status.parse(body)).toMatchObject({ state: word, name: 'fairlead/shop', ref: 'main' });
    expect(headers).toMatchObject({ 'private-token': TOKEN, 'content-type': 'application/json' });
  });

  test('a ref with a pattern is not sent', async () => {
    const call = RULES.gitlab.status(subjectOf('gitlab', { ref: '' }), reportOf('success'), null);
    expect(status.parse((await sent('gitlab', call)).body).ref).toBe(undefined);
  });

  test('a deployment is searched for, created, and updated', async () => {
    const subject = subjectOf('gitlab');
    const found = await sent('gitlab', deployments?.find(subject) ?? null);
    expect(found.line).toBe('GET /api/v4/projects/acme%2Fops%2Ffleet/deployments');
    expect(found.query).toEqual({ environment: 'production', order_by: 'id', sort: 'desc', per_page: '20' });
    for (const state of STATES) {
      const made = await sent('gitlab', deployments?.make(subject, state) ?? null);
      expect(made.line).toBe('POST /api/v4/projects/acme%2Fops%2Ffleet/deployments');
      expect(deployment.parse(made.body)).toMatchObject({ environment: 'production', sha: NEW, ref: 'main' });
    }
    const told = await sent(
      'gitlab',
      deployments?.tell(subject, { id: 42, state: 'pending' }, reportOf('failure')) ?? null,
    );
    expect(told.line).toBe('PUT /api/v4/projects/acme%2Fops%2Ffleet/deployments/42');
    expect(told.body).toEqual({ status: 'failed' });
  });

  test('only a deployment of this commit is used', () => {
    const foundIn = (answer: unknown) => deployments?.foundIn(answer, subjectOf('gitlab'));
    expect(
      foundIn([
        { id: 1, sha: 'other' },
        { id: 2, sha: NEW },
      ]),
    ).toBe(2);
    for (const answer of [null, 'x', [], [{ id: -1, sha: NEW }]]) expect(foundIn(answer)).toBe(null);
  });
});

describe('Gitea', () => {
  const status = z.strictObject({
    state: z.enum(['pending', 'success', 'error', 'failure', 'warning']),
    target_url: z.url(),
    description: z.string(),
    context: z.string(),
  });

  test.each(STATES)('a commit status: %s', async (state) => {
    const { line, body, headers } = await sent('gitea', RULES.gitea.status(subjectOf('gitea'), reportOf(state), null));
    expect(line).toBe(`POST /api/v1/repos/acme/fleet/statuses/${NEW}`);
    expect(status.parse(body)).toMatchObject({ context: 'fairlead/shop', description: '412 of 500 hosts' });
    expect(headers).toMatchObject({ authorization: `token ${TOKEN}`, 'content-type': 'application/json' });
  });
});

describe('an answer', () => {
  const NOW = Date.parse('2026-11-24T08:00:00.000Z');
  const inSeconds = (seconds: number) => String(NOW / 1_000 + seconds);
  const call = RULES.github.status(subjectOf('github'), reportOf('success'), null) as Call;
  const answered = (status: number, headers: http.OutgoingHttpHeaders = {}, text = '{"message":"no"}') => {
    respond = (response) => response.writeHead(status, headers).end(text);
    return send('github', call, {}, NOW);
  };

  test.each([
    [200, 'done'],
    [201, 'done'],
    [401, 'refused'],
    [403, 'refused'],
    [404, 'unfit'],
    [409, 'unfit'],
    [422, 'unfit'],
    [408, 'again'],
    [429, 'again'],
    [500, 'again'],
    [503, 'again'],
  ])('%i is %s', async (status, kind) => {
    expect(await answered(status)).toMatchObject({ kind, waitMs: 0 });
  });

  test('with a rate limit sets the length of the pause', async () => {
    expect(await answered(429, { 'retry-after': '120' })).toMatchObject({ kind: 'again', waitMs: 120_000 });
    expect(await answered(403, { 'retry-after': '60' })).toMatchObject({ kind: 'again', waitMs: 60_000 });
    const github = { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': inSeconds(300) };
    expect(await answered(403, github)).toMatchObject({ kind: 'again', waitMs: 300_000 });
    expect(await answered(201, github)).toMatchObject({ kind: 'done', waitMs: 300_000 });
    const gitlab = { 'ratelimit-remaining': '0', 'ratelimit-reset': inSeconds(30) };
    expect(await answered(429, gitlab)).toMatchObject({ kind: 'again', waitMs: 30_000 });
    const left = { 'x-ratelimit-remaining': '4000', 'x-ratelimit-reset': inSeconds(300) };
    expect(await answered(403, left)).toMatchObject({ kind: 'refused', waitMs: 0 });
    // A wrong clock of the server cannot cause a pause of days.
    expect(await answered(429, { 'retry-after': '9999999' })).toMatchObject({ waitMs: 3_600_000 });
  });

  test('that is not JSON yields no id', async () => {
    expect(await answered(201, {}, '<html>')).toMatchObject({ kind: 'done', value: null });
  });

  test('that redirects to another server is not followed, so that the token is not sent there', async () => {
    const answer = await answered(307, { location: 'https://elsewhere.example/' });
    expect(answer).toMatchObject({ kind: 'refused', why: expect.stringMatching(/redirects to another place/) });
  });

  test('an unreachable server is an outage', async () => {
    const answer = await send('github', call, { url: 'http://127.0.0.1:1' });
    expect(answer).toMatchObject({ kind: 'again', status: null });
  });
});

test('the token is read for each request, registered for redaction, and nothing is sent without one', async () => {
  const call = RULES.gitea.status(subjectOf('gitea'), reportOf('success'), null) as Call;
  await send('gitea', call);
  writeFileSync(path.join(dir, 'token'), 'another-token');
  await send('gitea', call);
  expect(requests.map(({ headers }) => headers.authorization)).toEqual([`token ${TOKEN}`, 'token another-token']);
  expect(secrets).toEqual([TOKEN, 'another-token']);
  writeFileSync(path.join(dir, 'token'), '\n');
  expect(await send('gitea', call)).toMatchObject({ kind: 'refused', why: expect.stringMatching(/token is empty/) });
  const gone = await send('gitea', call, { tokenFile: '/nowhere/token' });
  expect(gone).toMatchObject({ kind: 'refused', why: expect.stringMatching(/\/nowhere\/token cannot be read/) });
  expect(requests).toHaveLength(2);
  for (const forge of STATUS_FORGES) expect(RULES[forge].headers(TOKEN)).not.toEqual({});
});
