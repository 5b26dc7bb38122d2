/** Secrets in the real daemon: they reach the files that use them, and nothing else. */
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { afterAll, beforeAll, expect, onTestFailed, test } from 'vitest';
import { stringify } from 'yaml';
import type { PlanDocument, ShowDocument } from '../../agent/control/protocol.ts';
import { encryptAge } from '../../agent/secrets/age.ts';
import { until } from '../lab/run.ts';
import { sopsDocument } from '../unit/sops-writer.ts';
import { formsOf, leaksBelow, leaksIn } from './leaks.ts';
import { PATIENCE_MS, startTrial, type Trial } from './trial.ts';

let trial: Trial;
let recipient: string;
const H = 'hosts/trial';
const PASSWORD = `pa'ss "wörd"\\ & $HOME;%41`;
const ROTATED = 'rotated-Zm9vYmFy/+secret';
const TOKEN = 'tok_3f9a8b7c6d5e';
const KEY = '-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ\n-----END KEY-----\n';
const ALL = [PASSWORD, ROTATED, TOKEN, 'MIIEvQIBADANBgkqhkiG9w0BAQ'];
/** Everything that was printed to a terminal or sent over a socket. */
const said: string[] = [];

const withLog = () => onTestFailed(() => console.error(trial.log()));
async function cli(...args: string[]) {
  const result = await trial.cli(...args);
  said.push(`${args.join(' ')}\n${result.stdout}\n${result.stderr}`);
  return result;
}
const json = async <T>(...args: string[]): Promise<T> => JSON.parse((await cli(...args, '--json')).stdout) as T;
/** The response of the socket itself. */
const ask = (address: string) =>
  new Promise<string>((resolve, reject) => {
    const socketPath = path.join(trial.root, 'run/fairlead/agent.sock');
    http
      .get({ socketPath, path: `/v1/${address}` }, (response) => {
        let body = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          body += chunk;
        });
        response.on('end', () => {
          said.push(`socket ${address}\n${body}`);
          resolve(body);
        });
      })
      .on('error', reject);
  });
const sops = async (password: string) =>
  stringify(await sopsDocument({ db: { password, port: 5432 } }, { recipients: [recipient] }));
const managed = (file: string) => fs.readFileSync(path.join(trial.root, file), 'utf8');

beforeAll(async () => {
  trial = await startTrial();
  await trial.commit({ [`${H}/a.yaml`]: 'files: {/etc/plain: {content: plain}}\n' }, 'Begin');
  await trial.start();
  recipient = (await cli('secret', 'recipients')).stdout.trim();
});
afterAll(async () => trial.end());

test('the host has an identity of its own, and prints its public key', () => {
  expect(recipient).toMatch(/^age1[a-z0-9]{58}$/);
  const key = path.join(trial.root, 'var/lib/fairlead/age.key');
  expect(fs.statSync(key).mode & 0o777).toBe(0o600);
  expect(leaksIn('age.key', fs.readFileSync(key, 'utf8'), ['AGE-SECRET-KEY-1'])).not.toEqual([]);
});

test('templates and files contain them; diffs show only that a secret changed; rotation and drift are applied', async () => {
  withLog();
  const bytes = (text: string) => new TextEncoder().encode(text);
  await trial.commit(
    {
      [`${H}/host.yaml`]: `age: ${recipient}\nvars: {user: ann}\n`,
      [`${H}/db.sops.yaml`]: await sops(PASSWORD),
      [`${H}/token.age`]: await encryptAge(bytes(`${TOKEN}\n`), [recipient]),
      [`${H}/files/tls.key.age`]: await encryptAge(bytes(KEY), [recipient]),
      [`${H}/files/env`]: 'USER={{ vars.user }}\nTOKEN={{ secrets.token }}\n',
      [`${H}/a.yaml`]:
        'files:\n  /etc/plain: {content: plain}\n  /etc/db: {content: "{{ secrets.db.password }}", template: true}\n  /etc/env: {source: files/env, template: true}\n  /etc/tls.key: {source: files/tls.key.age}\n',
    },
    'Secrets',
  );
  expect((await cli('sync')).code).toBe(0);
  expect([managed('etc/db'), managed('etc/env'), managed('etc/tls.key')]).toEqual([
    PASSWORD,
    `USER=ann\nTOKEN=${TOKEN}\n`,
    KEY,
  ]);
  for (const file of ['etc/db', 'etc/env', 'etc/tls.key'])
    expect(fs.statSync(path.join(trial.root, file)).mode & 0o777).toBe(0o600);

  await trial.commit({ [`${H}/db.sops.yaml`]: await sops(ROTATED) }, 'Rotate');
  const plan = await json<PlanDocument>('plan');
  expect(plan.actions.map((a) => [a.id, a.why])).toEqual([
    ['file:/etc/db', [{ field: 'content', to: '(secret changed)' }]],
  ]);
  expect((await cli('sync')).code).toBe(0);
  expect(managed('etc/db')).toBe(ROTATED);
  fs.writeFileSync(path.join(trial.root, 'etc/env'), 'drifted');
  expect((await cli('sync')).code).toBe(0);
  expect(managed('etc/env')).toContain(TOKEN);
  const shown = await json<ShowDocument>('show', 'file:/etc/db');
  expect(shown.desired).toMatchObject({ content: '(secret)', secret: true });
  expect(shown.attributes.content).toEqual({ file: `${H}/a.yaml`, line: 3, layer: H });
});

test.each([
  [
    'a template that fails on one',
    { [`${H}/bad.yaml`]: 'files: {/etc/x: {content: "{{ secrets.db.password.more }}", template: true}}\n' },
    'bad.yaml:1',
  ],
  [
    'a filter that is not there',
    { [`${H}/bad.yaml`]: 'files: {/etc/y: {content: "{{ secrets.token | nope: secrets.db }}", template: true}}\n' },
    'undefined filter',
  ],
])('%s shows none of it', async (_what, files: Record<string, string>, message) => {
  withLog();
  await trial.commit(files, _what);
  const { code, stdout, stderr } = await cli('sync');
  expect([code, stdout + stderr]).toEqual([1, expect.stringContaining(message)]);
  await trial.commit({ [`${H}/bad.yaml`]: null }, 'Mend');
});

test('a file that is altered, or not encrypted to the host, is a clear error, and the old state stays', async () => {
  withLog();
  const good = await sops(ROTATED);
  for (const [text, why] of [
    [good.replace(/lastmodified: .*/, 'lastmodified: "2027-01-01T00:00:00Z"'), 'MAC does not fit'],
    [
      stringify(
        await sopsDocument(
          { db: { password: 'x' } },
          { recipients: ['age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj'] },
        ),
      ),
      'not encrypted to this host',
    ],
  ] as const) {
    await trial.commit({ [`${H}/db.sops.yaml`]: text }, 'Spoil');
    const { code, stdout, stderr } = await cli('sync');
    expect([code, stdout + stderr]).toEqual([1, expect.stringContaining(why)]);
    expect(stdout + stderr).toContain(`${H}/a.yaml:3`);
    expect(managed('etc/db')).toBe(ROTATED);
  }
  await trial.commit({ [`${H}/db.sops.yaml`]: good }, 'Mend');
  expect((await cli('sync')).code).toBe(0);
});

test('a plan of a directory that is not committed uses the same keys', async () => {
  withLog();
  const dir = path.join(trial.root, 'work');
  fs.mkdirSync(path.join(dir, H), { recursive: true });
  fs.writeFileSync(path.join(dir, H, 'db.sops.yaml'), await sops(PASSWORD));
  fs.writeFileSync(
    path.join(dir, H, 'a.yaml'),
    'files:\n  /etc/plain: {content: other}\n  /etc/db: {content: "{{ secrets.db.password }}", template: true}\n',
  );
  const before = managed('etc/plain');
  const plan = await json<PlanDocument>('plan', '--dir', dir, '--json');
  expect(plan.actions.map((a) => `${a.op} ${a.id}`).sort()).toEqual([
    'remove file:/etc/env',
    'remove file:/etc/tls.key',
    'update file:/etc/db',
    'update file:/etc/plain',
  ]);
  expect(managed('etc/plain')).toBe(before);
  fs.writeFileSync(path.join(dir, H, 'a.yaml'), 'files: {/etc/x: {contnet: x}}\n');
  const wrong = await cli('plan', '--dir', dir);
  expect([wrong.code, wrong.stdout]).toEqual([1, expect.stringContaining(`${H}/a.yaml:1:18`)]);
});

test('only the files contain a secret: no log, answer, topic, database page, temporary file', async () => {
  withLog();
  for (const args of [['status'], ['plan'], ['show', 'file:/etc/db'], ['history']]) await cli(...args);
  const ids = ['file:/etc/db', 'file:/etc/env', 'file:/etc/tls.key'].map((id) => `resources/${encodeURIComponent(id)}`);
  for (const address of ['status', 'resources', 'plan', 'version', 'history?limit=100', ...ids]) await ask(address);
  const { runs } = JSON.parse(await ask('history?limit=100')) as { runs: { id: number }[] };
  expect(runs.length).toBeGreaterThan(5);
  for (const { id } of runs) await ask(`history/${id}`);
  await until('the events to have been sent', PATIENCE_MS, async () => trial.events.length > 5);

  // The scan works: it finds the files themselves, and every encoding in a text made for it.
  expect(leaksBelow(path.join(trial.root, 'etc'), ALL, /never/).length).toBeGreaterThan(2);
  for (const secret of ALL)
    for (const [form, text] of formsOf(secret)) expect(leaksIn('x', `a ${text} b`, [secret]), form).not.toEqual([]);

  const database = path.join(trial.root, 'var/lib/fairlead/history.db');
  expect(fs.statSync(`${database}-wal`).size).toBeGreaterThan(0);
  const scan = () => [
    ...leaksBelow(trial.root, ALL, /\/etc\/(db|env|tls\.key)$/),
    ...leaksIn('log', trial.log(), ALL),
    ...said.flatMap((text) => leaksIn(text.split('\n')[0] ?? '', text, ALL)),
    ...[...trial.retained].flatMap(([topic, text]) => leaksIn(topic, text, ALL)),
    ...trial.events.flatMap((event) => leaksIn('event', JSON.stringify(event), ALL)),
  ];
  expect(scan()).toEqual([]);
  await trial.stop();
  expect(scan()).toEqual([]);
});

test('a host whose key was lost reports what to do, keeps its state, and continues once that is done', async () => {
  withLog();
  const before = managed('etc/db');
  fs.rmSync(path.join(trial.root, 'var/lib/fairlead/age.key'));
  await trial.start();
  const lost = await cli('sync');
  const renewed = (await cli('secret', 'recipients')).stdout.trim();
  expect(renewed).not.toBe(recipient);
  expect(lost.code).toBe(1);
  expect(lost.stdout).toContain('was applied before and has');
  expect(lost.stdout).toContain(`it is not encrypted to this host (${renewed}); put that recipient into host.yaml`);
  expect(managed('etc/db')).toBe(before);
  recipient = renewed;
  await trial.commit(
    {
      [`${H}/host.yaml`]: `age: ${recipient}\nvars: {user: ann}\n`,
      [`${H}/db.sops.yaml`]: await sops(ROTATED),
      [`${H}/token.age`]: await encryptAge(new TextEncoder().encode(`${TOKEN}\n`), [recipient]),
      [`${H}/files/tls.key.age`]: await encryptAge(new TextEncoder().encode(KEY), [recipient]),
    },
    'Encrypt again',
  );
  expect((await cli('sync')).code).toBe(0);
});
