/** SIGHUP: the real daemon, as a process, reads agent.yaml again and keeps its state. */
import fs from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, onTestFailed, test } from 'vitest';
import type { SyncLine } from '../../agent/control/protocol.ts';
import { type NotificationDocument, notificationDocument } from '../../manifests-schema/notification.ts';
import { statusDocument } from '../../manifests-schema/payloads.ts';
import { until } from '../lab/run.ts';
import { PATIENCE_MS, startTrial, type Trial } from './trial.ts';

let trial: Trial;
let yaml: string;
const configFile = () => path.join(trial.root, 'etc/fairlead/agent.yaml');
const status = async () => statusDocument.parse(await trial.client.get('status'));
const file = (content: string) => `files:\n  /etc/a: {content: "${content}"}\n`;
const managed = () => fs.readFileSync(path.join(trial.root, 'etc/a'), 'utf8');
const TOPIC = 'hosts/trial/status';

/** Writes agent.yaml, sends the signal, and waits for the log line about it. */
async function reload(text: string, said: RegExp): Promise<void> {
  const before = trial.log().length;
  fs.writeFileSync(configFile(), text);
  trial.signal('SIGHUP');
  await until(`the log line ${said}`, PATIENCE_MS, async () => said.test(trial.log().slice(before)));
}
const TAKEN = /read again and taken over/;

beforeAll(async () => {
  trial = await startTrial();
  yaml = fs.readFileSync(configFile(), 'utf8');
  await trial.commit({ 'hosts/trial/a.yaml': file('one'), 'sites/trial/a.yaml': file('by path') }, 'Two directories');
  await trial.start();
  await until('the first run', PATIENCE_MS, async () => (await status()).sync === 'synced');
});
afterAll(async () => trial.end());
beforeEach(() => onTestFailed(() => console.error(trial.log())));

test('a file with an error changes nothing: the log and the status show the error and its place', async () => {
  await reload(`${yaml}labels: {site: berlin}\nsynk: {}\n`, /agent\.yaml:6:1: .*synk/);
  const said = { id: 'agent.yaml', reason: 'InvalidConfig', message: expect.stringMatching(/agent\.yaml:6:1.*`sync`/) };
  expect(await status()).toMatchObject({ sync: 'synced', labels: {}, problems: [said] });
  await reload(yaml, TAKEN);
  expect((await status()).problems).toEqual([]);
});

test('schedule, labels and repository are applied; the process, its history and its connection stay', async () => {
  const before = await status();
  // The first run does not wait for the broker.
  await until(
    'the host to be online',
    PATIENCE_MS,
    async () => trial.retained.get('fairlead/default/hosts/trial/presence') === 'online',
  );
  const heard = trial.statuses.length;
  await reload(
    `${yaml.replace('repo: {', 'repo: {path: "sites/${host}", ').replace('0 0 1 1 *', '0 0 2 2 *')}labels: {site: berlin}\n`,
    TAKEN,
  );
  // Its directory is another one, and declares the same id.
  await until('the other directory', PATIENCE_MS, async () => managed() === 'by path');
  const after = await until('the run to be recorded', PATIENCE_MS, async () => {
    const now = await status();
    return now.run !== null && now.run.id > (before.run?.id ?? 0) && now.sync === 'synced' && now;
  });
  expect(after.next).toMatch(/-02-0[123]T/);
  expect(after.labels).toEqual({ site: 'berlin' });
  expect(after.agent).toEqual(before.agent);
  await until('the broker to receive it on the same connection', PATIENCE_MS, async () =>
    trial.statuses.slice(heard).some((s) => s.labels.site === 'berlin'),
  );
  expect(trial.log().match(/connected to the broker/g)).toHaveLength(1);
  await reload(yaml, TAKEN);
  await until('the first directory again', PATIENCE_MS, async () => managed() === 'one');
});

test('another broker prefix is another connection', async () => {
  await reload(yaml.replace('mqtt: {', 'mqtt: {prefix: other, '), TAKEN);
  await until('a status below the new prefix', PATIENCE_MS, async () => trial.retained.has(`other/default/${TOPIC}`));
  expect(trial.retained.get('fairlead/default/hosts/trial/presence')).toBe('offline');
  await reload(yaml, TAKEN);
  await until(
    'the old one again',
    PATIENCE_MS,
    async () => trial.retained.get('fairlead/default/hosts/trial/presence') === 'online',
  );
});

test('another host is left for the next start, and that is reported', async () => {
  await reload(yaml.replace('host: trial', 'host: other'), /host other in fleet default.*systemctl restart fairlead/);
  expect(await status()).toMatchObject({ host: 'trial', problems: [{ id: 'agent.yaml', reason: 'RestartNeeded' }] });
  await reload(yaml, TAKEN);
});

test('a run that is requested while the file is applied is made', async () => {
  const next = await trial.commit({ 'hosts/trial/a.yaml': file('two') }, 'Meanwhile');
  let done = '';
  const before = trial.log().length;
  trial.signal('SIGHUP');
  const take = (line: SyncLine) => {
    if (line.type === 'done') done = line.run.sync;
  };
  await trial.client.sync({}, { wait: true, line: take });
  expect(done).toBe('synced');
  expect([(await status()).applied?.commit, managed()]).toEqual([next, 'two']);
  // The run may have ended before the file was read; the next test waits for a line of its own.
  await until('the file to be applied', PATIENCE_MS, async () => TAKEN.test(trial.log().slice(before)));
});

test('a changed varsFile is applied by the next run, as a change and not as drift', async () => {
  const vars = path.join(trial.root, 'etc/fairlead/vars.yaml');
  fs.writeFileSync(vars, 'word: first\n');
  await reload(`${yaml}vars: {mark: "!"}\nvarsFile: ${vars}\n`, TAKEN);
  await trial.commit(
    {
      'fleet.yaml': 'vars: {word: none, mark: "?"}\n',
      'hosts/trial/a.yaml': 'files: {/etc/a: {template: true, content: "{{ vars.word }}{{ vars.mark }}"}}\n',
    },
    'Words',
  );
  await trial.cli('sync');
  expect(managed()).toBe('first!');
  fs.writeFileSync(vars, 'word: second\n');
  const { stdout } = await trial.cli('plan', '--json');
  expect(JSON.parse(stdout).actions).toMatchObject([{ id: 'file:/etc/a', op: 'update' }]);
  await trial.cli('sync');
  expect(managed()).toBe('second!');
  expect((await status()).run).toMatchObject({ changed: 1, repaired: 0 });
  fs.rmSync(vars);
  await trial.cli('sync');
  expect(managed()).toBe('second!');
  expect((await status()).problems).toMatchObject([{ id: 'agent.yaml', reason: 'InvalidConfig' }]);
  await reload(yaml, TAKEN);
  await trial.commit({ 'fleet.yaml': null, 'hosts/trial/a.yaml': file('three') }, 'Without');
  await trial.cli('sync');
});

test('destinations of `notify` receive a bad commit from then on, and nothing shows the URL', async () => {
  const told: NotificationDocument[] = [];
  const server = http.createServer((request, response) => {
    request.setEncoding('utf8');
    let body = '';
    request.on('data', (part: string) => {
      body += part;
    });
    request.on('end', () => {
      told.push(notificationDocument.parse(JSON.parse(body)));
      response.end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hooks/s3cret-word`;
  try {
    await reload(`${yaml}notify: [{format: json, url: "${url}"}]\n`, TAKEN);
    const bad = await trial.commit({ 'hosts/trial/a.yaml': 'files: {/etc/a: {contents: x}}\n' }, 'A typo');
    await trial.client.sync({}, { wait: true, line: () => undefined });
    await until('the notification', PATIENCE_MS, async () => told.length > 0);
    expect(
      told.map(({ messages }) => messages.map(({ occasion, commit, subject }) => ({ occasion, commit, subject }))),
    ).toEqual([[{ occasion: 'failed', commit: bad, subject: 'A typo' }]]);
    expect(told[0]?.text).toContain('contents');
    expect(`${trial.log()}${JSON.stringify(await status())}`).not.toContain('s3cret-word');
  } finally {
    await trial.commit({ 'hosts/trial/a.yaml': file('three') }, 'Right again');
    await reload(yaml, TAKEN);
    server.closeAllConnections();
    server.close();
  }
});
