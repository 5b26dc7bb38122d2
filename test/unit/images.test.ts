/** Names of images, when they are pulled, with which credentials, and what is remembered of pulls. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parseConfig } from '../../agent/config.ts';
import { canonicalHost, isPlatform, listedName, registryOf, repositoryOf } from '../../agent/core/names/image-name.ts';
import { explainPull } from '../../agent/kinds/image/errors.ts';
import { silentLog } from '../../agent/log.ts';
import { openStore } from '../../agent/store/db.ts';
import { createCredentials } from '../../agent/system/docker/registry-credentials.ts';
import { exec } from '../../agent/system/exec.ts';
import { inMemory } from '../scratch.ts';
import { loadRepo } from './repo.ts';

let dir: string;
beforeEach(() => {
  dir = inMemory('images');
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

test.each([
  ['nginx', 'docker.io', 'nginx:latest'],
  ['nginx:1.27', 'docker.io', 'nginx:1.27'],
  ['library/nginx', 'docker.io', 'nginx:latest'],
  ['docker.io/library/nginx:1', 'docker.io', 'nginx:1'],
  ['index.docker.io/grafana/loki:3', 'docker.io', 'grafana/loki:3'],
  ['grafana/loki', 'docker.io', 'grafana/loki:latest'],
  ['registry.example.com/a/b', 'registry.example.com', 'registry.example.com/a/b:latest'],
  ['infra:5000/app', 'infra:5000', 'infra:5000/app:latest'],
  ['localhost/app:2', 'localhost', 'localhost/app:2'],
  ['infra:5000/app:1@sha256:aa', 'infra:5000', 'infra:5000/app@sha256:aa'],
  ['nginx@sha256:aa', 'docker.io', 'nginx@sha256:aa'],
])('%s is of %s, and listed as %s', (image, registry, listed) => {
  expect([registryOf(image), listedName(image)]).toEqual([registry, listed]);
});

test.each([
  ['', true],
  ['linux/arm64', true],
  ['linux/arm64/v8', true],
  ['arm64', true],
  ['linux/aarch64', true],
  ['linux', true],
  ['linux/arm64/v9', false],
  ['linux/arm', false],
  ['linux/amd64', false],
  ['windows/arm64', false],
])('an image for linux/arm64 as platform %s: %s', (wanted, fits) => {
  expect(isPlatform(wanted, { os: 'linux', architecture: 'arm64', variant: '' })).toBe(fits);
});

describe('pull_policy', () => {
  const declared = (policy: string) =>
    loadRepo({ 'hosts/a/shop/compose.yaml': `services:\n  web:\n    image: x\n    ${policy}\n` });

  test.each([
    ['pull_policy: missing', { when: 'missing', everySeconds: 0 }],
    ['pull_policy: if_not_present', { when: 'missing', everySeconds: 0 }],
    ['pull_policy: daily', { when: 'refresh', everySeconds: 86_400 }],
    ['pull_policy: weekly', { when: 'refresh', everySeconds: 604_800 }],
    ['pull_policy: every_1w2d3h4m5s', { when: 'refresh', everySeconds: 788_645 }],
    ['pull_policy: refresh\n    pull_refresh_after: 12h', { when: 'refresh', everySeconds: 43_200 }],
  ])('%s', async (policy, expected) => {
    const { resources, issues } = await declared(policy);
    expect(issues).toEqual([]);
    expect(resources.find((r) => r.id === 'service:shop/web')?.spec).toMatchObject({ pullPolicy: expected });
  });

  test.each([
    ['pull_policy: refresh', /compose.yaml:4:\d+ .*refresh` needs `pull_refresh_after`/],
    ['pull_policy: every_0h', /compose.yaml:4:\d+ `0h` must be a duration above zero/],
    ['pull_policy: refresh\n    pull_refresh_after: soon', /compose.yaml:5:\d+ `soon` must be a duration/],
  ])('%s is an error with its place', async (policy, expected) => {
    const { issues } = await declared(policy);
    expect(issues.map((i) => `${i.file}:${i.line}:${i.column} ${i.message}`)).toEqual([
      expect.stringMatching(expected),
    ]);
  });
});

describe('credentials', () => {
  const heard: string[] = [];
  const of = (registry: string, registries = {}) => credentials(registries).of(registry);
  const credentials = (registries: Record<string, { username: string; passwordFile: string }> = {}) =>
    createCredentials({
      registries,
      home: '/root',
      root: dir,
      exec: (argv, options) => exec([path.join(dir, argv[0] ?? ''), ...argv.slice(1)], options),
      secret: (secret) => heard.push(secret),
    });
  const login = (config: unknown) => {
    mkdirSync(path.join(dir, 'root/.docker'), { recursive: true });
    writeFileSync(path.join(dir, 'root/.docker/config.json'), JSON.stringify(config));
  };
  const auth = (user: string, password: string) => ({ auth: Buffer.from(`${user}:${password}`).toString('base64') });

  test.each(['https://index.docker.io/v1/', 'docker.io', 'index.docker.io', 'registry-1.docker.io'])(
    'of Docker Hub under its name %s',
    async (name) => {
      login({ auths: { [name]: auth('me', 'a:b') } });
      const found = await of(registryOf('nginx'));
      expect(found?.auth).toEqual({ username: 'me', password: 'a:b', serveraddress: 'https://index.docker.io/v1/' });
      expect(found?.source).toBe('user me of /root/.docker/config.json');
      expect(heard).toContain('a:b');
    },
  );

  test('agent.yaml goes before `docker login`; other registries have no credentials', async () => {
    login({ auths: { 'https://r.example.com/v2/': auth('me', 'x') } });
    writeFileSync(path.join(dir, 'password'), 'from agent.yaml\n');
    const registries = { 'R.example.com': { username: 'agent', passwordFile: '/password' } };
    expect((await of('r.example.com', registries))?.auth).toMatchObject({
      username: 'agent',
      password: 'from agent.yaml',
    });
    expect((await of('r.example.com'))?.auth).toMatchObject({ username: 'me' });
    expect(await of('r.example.com:5000', registries)).toBeNull();
  });

  test.each([
    ['git.example.com/acme/shop/web:1', 'shop'],
    ['git.example.com/acme/shopping:1', 'acme'],
    ['git.example.com/acme:1@sha256:0123456789abcdef0123456789abcdef', 'acme'],
    ['git.example.com/other/x', 'whole'],
    ['other.example.com/acme/shop', undefined],
  ])('of %s are those of the entry with the longest matching path', async (image, expected) => {
    login({});
    writeFileSync(path.join(dir, 'password'), 'p\n');
    const as = (username: string) => ({ username, passwordFile: '/password' });
    const registries = {
      'git.example.com': as('whole'),
      'git.example.com/acme': as('acme'),
      'git.example.com/acme/shop': as('shop'),
    };
    const found = await credentials(registries).of(registryOf(image), repositoryOf(image));
    expect(found?.auth.username).toBe(expected);
  });

  test.each([
    ['nginx:1', 'nginx'],
    ['docker.io/library/nginx', 'library/nginx'],
    ['acme/shop:1', 'acme/shop'],
    ['r.example.com:5000/a/b:1', 'a/b'],
    ['localhost/a', 'a'],
  ])('the path of %s is %s', (image, expected) => {
    expect(repositoryOf(image)).toBe(expected);
  });

  test("a registry's own helper is asked first, then the store; a token is sent as such; the file serves what they do not know", async () => {
    const helper = (name: string, body: string) =>
      writeFileSync(path.join(dir, `docker-credential-${name}`), `#!/bin/sh\nread server\n${body}\n`, { mode: 0o755 });
    helper('own', `echo '{"Username":"<token>","Secret":"tok-4711"}'`);
    helper(
      'all',
      `[ "$server" = known ] || { echo 'credentials not found in native keychain'; exit 1; }; echo '{"Username":"all","Secret":"s"}'`,
    );
    login({ credHelpers: { own: 'own' }, credsStore: 'all', auths: { plain: auth('plain', 'p') } });
    expect((await of('own'))?.auth).toEqual({
      username: '',
      password: '',
      identitytoken: 'tok-4711',
      serveraddress: 'own',
    });
    expect(heard).toContain('tok-4711');
    expect((await of('known'))?.source).toBe(
      'user all from docker-credential-all (named in /root/.docker/config.json)',
    );
    expect((await of('plain'))?.auth.username).toBe('plain');
    expect(await of('nobody')).toBeNull();
  });

  test('are merged into one config.json for a client, wherever they are stored', async () => {
    const helper = (name: string, body: string) =>
      writeFileSync(path.join(dir, `docker-credential-${name}`), `#!/bin/sh\n${body}\n`, { mode: 0o755 });
    helper('own', `read server; echo '{"Username":"<token>","Secret":"tok-0815"}'`);
    helper(
      'all',
      `[ "$1" = list ] && { echo '{"stored.example.com":"all"}'; exit; }; read server; [ "$server" = stored.example.com ] || { echo 'credentials not found in native keychain'; exit 1; }; echo '{"Username":"all","Secret":"s"}'`,
    );
    expect(await credentials().config()).toBe('{"auths":{}}');
    login({
      ...{ credHelpers: { 'own.example.com': 'own' }, credsStore: 'all', HttpHeaders: { X: 'y' } },
      auths: {
        'https://index.docker.io/v1/': auth('me', 'p'),
        'r.example.com': auth('not me', 'p'),
        'stored.example.com': {},
      },
    });
    writeFileSync(path.join(dir, 'password'), 'pw\n');
    const all = await credentials({ 'r.example.com': { username: 'agent', passwordFile: '/password' } }).config();
    expect(JSON.parse(all)).toEqual({
      auths: {
        'https://index.docker.io/v1/': auth('me', 'p'),
        'own.example.com': { auth: '', identitytoken: 'tok-0815' },
        'r.example.com': auth('agent', 'pw'),
        'stored.example.com': auth('all', 's'),
      },
    });
    expect(heard).toContain(auth('agent', 'pw').auth);
    helper('all', 'echo no; exit 3');
    await expect(credentials().config()).rejects.toThrow(
      'docker-credential-all (named in /root/.docker/config.json) could not list: exit code 3: no',
    );
  });

  test('that cannot be read are an error that names the file and quotes nothing of it', async () => {
    mkdirSync(path.join(dir, 'root/.docker'), { recursive: true });
    writeFileSync(path.join(dir, 'root/.docker/config.json'), '{"auths": hunter2');
    await expect(of('r')).rejects.toThrow(/^\/root\/.docker\/config.json is not valid JSON; fix it/);
    const gone = { r: { username: 'u', passwordFile: '/gone' } };
    await expect(of('r', gone)).rejects.toThrow(
      '/gone (docker.registries of agent.yaml, r) cannot be read: there is no such file',
    );
    login({ credsStore: '../../bin/sh' });
    await expect(of('r')).rejects.toThrow("names a credential helper that is no program's name");
    login({ credsStore: 'missing' });
    await expect(of('r')).rejects.toThrow(
      /docker-credential-missing \(named in .*\) could not say who pulls from r: exit code 127/,
    );
  });

  test('in agent.yaml name registries as images do', () => {
    const of = (name: string) => () =>
      parseConfig(
        'agent.yaml',
        `repo: {url: /x}\ndocker: {registries: {"${name}": {username: u, passwordFile: /p}}}\n`,
        'h',
      );
    for (const name of ['docker.io', 'r.example.com:5000', 'https://index.docker.io/v1/'])
      expect(of(name)).not.toThrow();
    expect(of('https://r.example.com')).toThrow(/agent.yaml:2:.*must be a registry as images name it/);
    expect(canonicalHost('https://R.example.com:5000/v2/')).toBe('r.example.com:5000');
  });
});

test.each([
  ['write /var/lib/docker/tmp/x: no space left on device', 'DiskFull', /docker image prune/],
  ['manifest for r/x:1 not found: manifest unknown', 'ImagePullFailed', /no such image or tag/],
  [
    'Get "https://r/v2/": dial tcp: connect: connection refused',
    'ImagePullFailed',
    /check that this host reaches r.example.com/,
  ],
  ['http: server gave HTTP response to HTTPS client', 'ImagePullFailed', /insecure-registries/],
])('a pull that failed with "%s" is %s', (message, code, advice) => {
  const given = { image: 'r.example.com/x:1', thrown: new Error(message), credential: null, places: '' };
  const error = explainPull(given);
  expect([error.code, error.retry]).toEqual([code, true]);
  expect(error.message).toMatch(advice);
});

test('the record of pulls and of the times of requests to registries survives a restart', () => {
  const open = () => openStore({ dir, now: () => new Date(), log: silentLog });
  const at = new Date('2026-05-01T00:00:00Z');
  let store = open();
  store.images.addPulled({ name: 'a:1', id: 'x' }, at);
  store.images.addPulled({ name: 'a:2', id: 'x' }, at);
  store.images.addPulled({ name: 'b', id: 'y' }, at);
  store.images.setAsked('a:1', 'linux/arm64', at);
  store.close();
  store = open();
  expect(store.images.askedAt('a:1', 'linux/arm64')).toEqual(at);
  expect(store.images.askedAt('a:1', '')).toBeNull();
  store.images.forget('x');
  expect(store.images.pulled()).toEqual([{ name: 'b', id: 'y' }]);
  store.close();
});
