/** The commands for people who write the repository: their output and exit codes. */

import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { type CliDeps, runCli } from '../../agent/cli/index.ts';
import { KINDS } from '../../agent/kinds/index.ts';
import { decryptAge } from '../../agent/secrets/age.ts';
import { providers } from './repo.ts';

let dir: string;
let secretKey: string;
let recipient: string;
const write = (files: Record<string, string>) => {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(dir, name)), { recursive: true });
    writeFileSync(path.join(dir, name), text);
  }
};
const git = (...args: string[]) =>
  execFileSync('git', ['-C', dir, '-c', 'user.name=a', '-c', 'user.email=a@b', ...args], { encoding: 'utf8' }).trim();

async function cli(...argv: string[]) {
  let stdout = '';
  let stderr = '';
  const deps = {
    version: 'test',
    client: () => ({}),
    self: [],
    offlineKinds: () => ({ kinds: KINDS, providers: providers() }),
    ownRecipient: async () => recipient,
    service: async () => 'absent',
    paths: () => ({ config: path.join(dir, 'etc/agent.yaml'), state: path.join(dir, 'state') }),
  } as unknown as CliDeps;
  const terminal = {
    stdout: (text: string) => {
      stdout += text;
    },
    stderr: (text: string) => {
      stderr += text;
    },
    isTTY: false,
    columns: 120,
    env: {},
    now: () => new Date(0),
  };
  const code = await runCli(argv, terminal as unknown as Parameters<typeof runCli>[1], deps);
  return { code, stdout, stderr };
}

beforeAll(async () => {
  dir = mkdtempSync(path.join(os.tmpdir(), 'fairlead-cli-'));
  secretKey = await generateX25519Identity();
  recipient = await identityToRecipient(secretKey);
  write({
    'fleet.yaml': 'name: demo\n',
    'roles/web/role.yaml': 'vars: {workers: 2}\n',
    'roles/web/web.yaml':
      'files:\n  /etc/web: {content: "w={{ vars.workers }} c={{ facts.cpus }}\\n", template: true, mode: "0640"}\n',
    'hosts/a/host.yaml': `roles: [web]\nvars: {workers: 4}\nage: ${recipient}\n`,
    'hosts/a/shop/compose.yaml': 'services: {web: {image: "web:1"}}\n',
    'hosts/b/x.yaml': 'files: {/etc/x: {content: x}}\n',
  });
  git('init', '-q', '-b', 'main');
  git('add', '-A');
  git('commit', '-qm', 'one');
});
afterAll(() => {
  for (const made of [dir, `${dir}.compiled`]) rmSync(made, { recursive: true, force: true });
});

test('validate exits with 0 and a count, 1 and the places, in every format; 64 for an unknown format', async () => {
  expect(await cli('validate', dir)).toEqual({ code: 0, stdout: '2 hosts, 0 errors, 0 warnings\n', stderr: '' });
  write({ 'hosts/b/bad.yaml': 'files:\n  /etc/y: {contnet: "a,b: 100%"}\n' });
  git('add', '-A');
  git('commit', '-qm', 'bad');
  const text = await cli('validate', dir);
  expect([text.code, text.stdout]).toEqual([
    1,
    'hosts/b/bad.yaml:2:12: error: unknown key `contnet`; did you mean `content`?\n2 hosts, 1 error, 0 warnings\n',
  ]);
  const github = await cli('validate', dir, '--format', 'github');
  expect(github.stdout.split('\n')[0]).toBe(
    '::error file=hosts/b/bad.yaml,line=2,col=12,title=files./etc/y.contnet::unknown key `contnet`; did you mean `content`?',
  );
  const gitlab = JSON.parse((await cli('validate', dir, '--format', 'gitlab')).stdout);
  expect(gitlab).toEqual([
    {
      description: 'unknown key `contnet`; did you mean `content`?',
      check_name: 'fairlead',
      fingerprint: expect.stringMatching(/^[0-9a-f]{64}$/),
      severity: 'blocker',
      location: { path: 'hosts/b/bad.yaml', lines: { begin: 2 } },
    },
  ]);
  for (const flags of [['--json'], ['--format', 'json']]) {
    const json = await cli('validate', dir, ...flags);
    expect([json.code, JSON.parse(json.stdout)]).toMatchObject([
      1,
      { schema: 1, hosts: 2, issues: [{ hosts: ['hosts/b'] }] },
    ]);
  }
  expect((await cli('validate', dir, '--format', 'xml')).code).toBe(64);
  expect(await cli('validate', path.join(dir, 'none'))).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('cannot read'),
  });
  git('rm', '-q', 'hosts/b/bad.yaml');
  git('commit', '-qm', 'good');
});

test('render prints the merged host, with facts and origins; an unknown host gets the nearest name', async () => {
  const facts = path.join(dir, 'facts.json');
  writeFileSync(facts, JSON.stringify({ cpus: 16 }));
  const { code, stdout } = await cli('render', 'a', '--dir', dir, '--facts', facts, '--origin');
  expect(code).toBe(0);
  const document = parse(stdout) as { vars: object; resources: Record<string, object> };
  expect(document.vars).toEqual({ workers: { value: 4, origin: 'hosts/a/host.yaml:2 (hosts/a)' } });
  expect(document.resources['file:/etc/web']).toMatchObject({
    spec: { content: 'w=4 c=16\n', mode: '0640' },
    origin: 'roles/web/web.yaml:2 (roles/web)',
    attributes: { mode: 'roles/web/web.yaml:2 (roles/web)' },
  });
  const compose = await cli('render', 'hosts/a', '--dir', dir, '--format', 'compose');
  expect(JSON.parse(compose.stdout)).toMatchObject({ shop: { name: 'shop', services: { web: { image: 'web:1' } } } });
  expect(await cli('render', 'aa', '--dir', dir)).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('did you mean `a`?'),
  });
  expect(JSON.parse((await cli('render', 'b', '--dir', dir, '--json')).stdout)).toMatchObject({ schema: 1, host: 'b' });
  rmSync(facts);
});

test('affected prints the hosts that a change reaches', async () => {
  write({
    'roles/web/role.yaml': '# more\nvars: {workers: 2, more: 1}\n',
    'roles/web/more.yaml': 'files: {/etc/more: {content: m}}\n',
  });
  git('add', '-A');
  git('commit', '-qm', 'two');
  const { code, stdout } = await cli('affected', 'HEAD~1', 'HEAD', '--dir', dir, '--json');
  expect([code, JSON.parse(stdout).hosts]).toEqual([0, [{ host: 'a', path: 'hosts/a', change: 'changed' }]]);
  expect((await cli('affected', 'HEAD', 'HEAD', '--dir', dir)).stdout).toBe('No host.\n');
  expect(await cli('affected', 'nope', 'HEAD', '--dir', dir)).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('there is no commit `nope`'),
  });
});

/** The program as a process, run from its sources. */
const main = path.join(import.meta.dirname, '../../agent/main.ts');
/** Node's compile cache of the sources, for the next process. */
const env = () => ({ ...process.env, NODE_COMPILE_CACHE: `${dir}.compiled` });

test('secret: input from a pipe is encrypted to a file, or to the standard output', () => {
  const encrypt = (...args: string[]) =>
    execFileSync(process.execPath, [main, 'secret', 'encrypt', '-', '--to', 'a', '--dir', dir, ...args], {
      input: 'piped',
      encoding: 'utf8',
      env: env(),
    });
  const output = path.join(dir, 'piped.age');
  expect(encrypt('-o', output)).toBe(`${output}: encrypted to a.\n`);
  expect(encrypt()).toMatch(/^-----BEGIN AGE ENCRYPTED FILE-----[\s\S]*-----END AGE ENCRYPTED FILE-----\n$/);
  return expect(decryptAge(readFileSync(output), secretKey)).resolves.toEqual(new TextEncoder().encode('piped'));
});

test('secret: an empty pipe, as of a program that failed, does not overwrite a secret', () => {
  const output = path.join(dir, 'empty.age');
  const argv = [main, 'secret', 'encrypt', '-', '--to', 'a', '--dir', dir, '-o', output];
  const { status, stderr } = spawnSync(process.execPath, argv, { input: '', encoding: 'utf8', env: env() });
  expect([status, stderr]).toEqual([1, expect.stringContaining('the standard input is empty; nothing was encrypted')]);
  expect(existsSync(output)).toBe(false);
});

test('secret: a person can still decrypt what is encrypted to a host', async () => {
  const file = path.join(dir, 'kept');
  writeFileSync(file, 'kept');
  const person = await generateX25519Identity();
  const theirs = await identityToRecipient(person);
  const whom = ['--to', 'a', '--recipient', theirs, '--dir', dir];
  const { code, stdout } = await cli('secret', 'encrypt', file, ...whom);
  expect([code, stdout]).toEqual([0, `${file}.age: encrypted to a, ${theirs}. Keep kept out of the repository.\n`]);
  for (const key of [person, secretKey])
    expect(new TextDecoder().decode(await decryptAge(readFileSync(`${file}.age`), key))).toBe('kept');
  rmSync(`${file}.age`);
});

test('secret: an invalid recipient is refused before anything is written', async () => {
  const { code, stderr } = await cli('secret', 'encrypt', 'x', '--to', 'a', '--recipient', 'edge-1', '--dir', dir);
  expect([code, stderr]).toEqual([64, expect.stringContaining('edge-1 is no age recipient')]);
});

test.each([
  [['secret', 'recipients', '--dir']],
  [['render', 'a', '--dir']],
  [['secret', 'encrypt', 'x', '--to', 'a', '--dir']],
])('%s of a directory that is no fleet repository is an error that says so', async (argv) => {
  const empty = mkdtempSync(path.join(os.tmpdir(), 'fairlead-no-fleet-'));
  const { code, stderr } = await cli(...argv, empty);
  expect([code, stderr]).toEqual([1, expect.stringContaining(`${empty} is no fleet repository`)]);
  rmSync(empty, { recursive: true });
});

test('secret: the recipients of hosts are printed, and only they can decrypt a file', async () => {
  expect((await cli('secret', 'recipients')).stdout).toBe(`${recipient}\n`);
  const all = await cli('secret', 'recipients', '--dir', dir, '--json');
  expect([all.code, JSON.parse(all.stdout).recipients.map((r: { recipient: string }) => r.recipient)]).toEqual([
    1,
    [recipient, null],
  ]);
  expect((await cli('secret', 'recipients', 'a', '--dir', dir)).code).toBe(0);

  const file = path.join(dir, 'token');
  writeFileSync(file, 'secret\n');
  for (const whom of [
    ['--to', 'a'],
    ['--role', 'web'],
  ]) {
    const { code, stdout } = await cli('secret', 'encrypt', file, ...whom, '--dir', dir);
    expect([code, stdout]).toEqual([0, `${file}.age: encrypted to a. Keep token out of the repository.\n`]);
    expect(new TextDecoder().decode(await decryptAge(readFileSync(`${file}.age`), secretKey))).toBe('secret\n');
    rmSync(`${file}.age`);
  }
  expect((await cli('secret', 'encrypt', file, '--dir', dir)).code).toBe(64);
  for (const [whom, why] of [
    [['--to', 'a', 'b'], 'b: no `age:` in host.yaml'],
    [['--to', 'c'], 'no host `c`'],
    [['--role', 'none'], 'no host has the role `none`'],
  ] as const)
    expect(await cli('secret', 'encrypt', file, ...whom, '--dir', dir)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(why),
    });
});

test('init: creates a configuration and keys; a second call changes nothing', async () => {
  expect(await cli('init')).toMatchObject({ code: 64, stderr: expect.stringContaining('name the fleet repository') });
  expect(await cli('init', 'git@git.example.com:fleet.git', '--host', 'Bad_Name')).toMatchObject({ code: 1 });
  const first = await cli('init', 'git@git.example.com:fleet.git', '--host', 'edge-1', '--ref', 'stable', '--json');
  expect([first.code, first.stderr]).toEqual([0, '']);
  const document = JSON.parse(first.stdout);
  expect(document).toMatchObject({
    host: 'edge-1',
    age: expect.stringMatching(/^age1/),
    ssh: expect.stringMatching(/^ssh-ed25519 \S+ fairlead@/),
  });
  expect(document.made).toHaveLength(3);
  const config = readFileSync(path.join(dir, 'etc/agent.yaml'), 'utf8');
  expect(parse(config)).toEqual({
    host: 'edge-1',
    repo: {
      url: 'git@git.example.com:fleet.git',
      ref: 'stable',
      auth: { sshKeyFile: path.join(dir, 'etc/ssh_key') },
    },
  });
  for (const file of ['etc/agent.yaml', 'etc/ssh_key', 'state/age.key'])
    expect(statSync(path.join(dir, file)).mode & 0o777).toBe(0o600);
  const again = JSON.parse((await cli('init', '--json')).stdout);
  expect(again).toEqual({ ...document, made: [] });
  expect(readFileSync(path.join(dir, 'etc/agent.yaml'), 'utf8')).toBe(config);
});
