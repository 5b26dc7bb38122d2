/** What goes wrong around the daemon: a second one, a kill, a renamed machine. The real daemon, as a process. */
import fs from 'node:fs';
import path from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, expect, onTestFailed, test } from 'vitest';
import { statusDocument } from '../../manifests-schema/payloads.ts';
import { startTrial, type Trial } from './trial.ts';

let trial: Trial;
const file = (key: string, content = '1') => `files:\n  ${key}: {content: "${content}"}\n`;
const status = async () => statusDocument.parse(JSON.parse((await trial.cli('status', '--json')).stdout));
const state = (name: string) => path.join(trial.root, 'var/lib/fairlead', name);
const withLog = () => onTestFailed(() => console.error(trial.log()));

beforeAll(async () => {
  trial = await startTrial();
  await trial.commit({ 'hosts/trial/a.yaml': file('/etc/a') }, 'One file');
});
afterAll(async () => trial.end());

test('a second agent on the same state refuses, and the first one does not notice', async () => {
  withLog();
  await trial.start();
  expect((await trial.cli('sync')).code).toBe(0);
  const { instance } = (await status()).agent;
  for (const args of [['agent', '--once'], ['agent']]) {
    const { code, stdout, stderr } = await trial.cli(...args);
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/^fairlead: another agent is at work on .*`fairlead sync`.*\n$/);
  }
  expect((await status()).agent.instance).toBe(instance);
  expect(trial.retained.get('fairlead/default/hosts/trial/presence')).toBe('online');
});

test('a kill leaves nothing that keeps the next one from starting; reading history meanwhile changes nothing', async () => {
  withLog();
  await trial.stop('SIGKILL');
  const db = new Database(state('history.db'));
  db.prepare("INSERT INTO runs (trigger, started_at) VALUES ('manual', ?)").run(new Date().toISOString());
  db.close();
  const bytes = () => fs.readFileSync(state('history.db'));
  const before = bytes();
  const { code, stdout } = await trial.cli('history', '--json');
  expect([code, stdout]).toEqual([0, expect.not.stringContaining('Interrupted')]);
  expect(bytes().equals(before)).toBe(true);
  await trial.start();
  const after = JSON.parse((await trial.cli('history', '--json')).stdout) as { runs: { reason: string }[] };
  expect(after.runs.map((r) => r.reason)).toContain('Interrupted');
  await trial.stop();
});

const configure = (change: (text: string) => string) => {
  const at = path.join(trial.root, 'etc/fairlead/agent.yaml');
  fs.writeFileSync(at, change(fs.readFileSync(at, 'utf8')));
};

test('another `host:` is another host: its directory is held until its removals are allowed, and stays after that', async () => {
  withLog();
  configure((text) => text.replace('host: trial', 'host: other'));
  await trial.commit({ 'hosts/other/a.yaml': file('/etc/b') }, 'Another host');
  await trial.start();
  const held = await trial.cli('sync');
  expect([held.code, held.stdout]).toEqual([2, expect.stringMatching(/hosts\/trial .*hosts\/other.*file:\/etc\/a/)]);
  expect(await status()).toMatchObject({ host: 'other', sync: 'held', reason: 'DirectoryChanged' });
  const managed = (name: string) => fs.existsSync(path.join(trial.root, 'etc', name));
  expect([managed('a'), managed('b')]).toEqual([true, false]);
  expect((await trial.cli('sync', '--allow-prune')).code).toBe(0);
  expect([managed('a'), managed('b')]).toEqual([false, true]);
  expect((await trial.cli('sync')).code).toBe(0);
  await trial.stop();
});

test('the machine’s name is frozen at the first start, and so is the directory that it names', async () => {
  withLog();
  configure((text) => text.replace('host: other\n', ''));
  await trial.start();
  expect((await trial.cli('sync')).code).toBe(0);
  expect((await status()).host).toBe('other');
  expect(fs.existsSync(path.join(trial.root, 'etc/b'))).toBe(true);
  await trial.stop();
});
