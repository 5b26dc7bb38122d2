/** Faults around the daemon: a second daemon, a kill, a renamed machine. The real daemon, as a process. */
import fs from 'node:fs';
import path from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, expect, onTestFailed, test } from 'vitest';
import type { SyncLine, SyncRequest } from '../../agent/control/protocol.ts';
import { statusDocument } from '../../manifests-schema/payloads.ts';
import { run, until } from '../lab/run.ts';
import { PATIENCE_MS, startTrial, type Trial } from './trial.ts';

let trial: Trial;
const file = (key: string, content = '1') => `files:\n  ${key}: {content: "${content}"}\n`;
const status = async () => statusDocument.parse(await trial.client.get('status'));
/** The exit code and output of a sync. */
async function sync(request: SyncRequest = {}): Promise<{ sync: string; reason: string; message: string } | null> {
  let end: { sync: string; reason: string; message: string } | null = null;
  const take = (line: SyncLine) => {
    if (line.type === 'done') end = line.run;
  };
  await trial.client.sync(request, { wait: true, line: take });
  return end;
}
const state = (name: string) => path.join(trial.root, 'var/lib/fairlead', name);
const withLog = () => onTestFailed(() => console.error(trial.log()));

beforeAll(async () => {
  trial = await startTrial();
  await trial.commit({ 'hosts/trial/a.yaml': file('/etc/a') }, 'One file');
});
afterAll(async () => trial.end());

test('a second agent on the same state refuses to start, and does not disturb the first one', async () => {
  withLog();
  await trial.start();
  expect(await sync()).toMatchObject({ sync: 'synced' });
  const { instance } = (await status()).agent;
  for (const args of [['agent', '--once'], ['agent']]) {
    const { code, stdout, stderr } = await trial.cli(...args);
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/^fairlead: another agent is at work on .*`fairlead sync`.*\n$/);
  }
  expect((await status()).agent.instance).toBe(instance);
  expect(trial.retained.get('fairlead/default/hosts/trial/presence')).toBe('online');
});

test('a warning about the declaration is in the status and in a plan, and disappears with its cause', async () => {
  withLog();
  const odd = 'files:\n  /etc/none: null\n';
  await trial.commit({ 'hosts/trial/odd.yaml': odd }, 'Odd');
  expect(await sync()).toMatchObject({ sync: 'synced' });
  const warning = {
    file: 'hosts/trial/odd.yaml',
    line: 2,
    key: 'files./etc/none',
    message: expect.stringContaining('no layer below declares one'),
  };
  const now = await status();
  expect(now).toMatchObject({ sync: 'synced', health: 'healthy', problemsTotal: 0, warningsTotal: 1 });
  expect(now.warnings).toEqual([warning]);
  expect((await trial.cli('status')).stdout).toContain('warnings (1)\n  hosts/trial/odd.yaml:2: ');
  expect((await trial.cli('plan')).stdout).toContain('hosts/trial/odd.yaml:2:3: warning: ');
  await trial.commit({ 'hosts/trial/odd.yaml': '' }, 'Not odd');
  expect(await sync()).toMatchObject({ sync: 'synced' });
  expect(await status()).toMatchObject({ warnings: [], warningsTotal: 0 });
});

test('a kill leaves nothing that prevents the next start; reading history meanwhile changes nothing', async () => {
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

test('another `host:` is another host: removals for its directory are held until they are allowed', async () => {
  withLog();
  configure((text) => text.replace('host: trial', 'host: other'));
  await trial.commit({ 'hosts/other/a.yaml': file('/etc/b') }, 'Another host');
  await trial.start();
  const message = expect.stringMatching(/hosts\/trial .*hosts\/other.*file:\/etc\/a/);
  expect(await sync()).toMatchObject({ sync: 'held', reason: 'DirectoryChanged', message });
  expect(await status()).toMatchObject({ host: 'other', sync: 'held', reason: 'DirectoryChanged' });
  const managed = (name: string) => fs.existsSync(path.join(trial.root, 'etc', name));
  expect([managed('a'), managed('b')]).toEqual([true, false]);
  expect(await sync({ allowPrune: true })).toMatchObject({ sync: 'synced' });
  expect([managed('a'), managed('b')]).toEqual([false, true]);
  expect(await sync()).toMatchObject({ sync: 'synced' });
  await trial.stop();
});

test("the machine’s name is fixed at the first start, and so is the host's directory", async () => {
  withLog();
  configure((text) => text.replace('host: other\n', ''));
  await trial.start();
  expect(await sync()).toMatchObject({ sync: 'synced' });
  expect((await status()).host).toBe('other');
  expect(fs.existsSync(path.join(trial.root, 'etc/b'))).toBe(true);
  await trial.stop();
});

test('a full disk is reported by status, broker and exit codes, stops new work but not repairs without records, and needs no help once it has space', async () => {
  withLog();
  const disk = path.join(trial.root, 'var/lib/fairlead');
  fs.rmSync(disk, { recursive: true });
  fs.mkdirSync(disk);
  await run(['mount', '-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', disk]);
  try {
    configure((text) => `host: other\n${text}`);
    await trial.start();
    expect(await sync()).toMatchObject({ sync: 'synced' });
    expect(() => fs.writeFileSync(path.join(disk, 'filler'), Buffer.alloc(16 << 20))).toThrow(/ENOSPC/);
    await trial.commit({ 'hosts/other/a.yaml': file('/etc/b', 'two') }, 'While the disk is full');
    const failed = await trial.cli('sync', '--json');
    expect([failed.code, failed.stderr]).toEqual([1, '']);
    expect(JSON.parse(failed.stdout)).toMatchObject({
      type: 'done',
      run: { sync: 'failed', reason: 'StateUnwritable' },
    });
    const now = { sync: 'failed', reason: 'StateUnwritable', problems: [{ id: 'state' }] };
    expect(await status()).toMatchObject(now);
    const held = 'fairlead/default/hosts/other/status';
    await until(
      'the broker to have it',
      PATIENCE_MS,
      async () => trial.retained.get(held)?.includes('StateUnwritable') ?? false,
    );
    const managed = path.join(trial.root, 'etc/b');
    fs.chmodSync(managed, 0o600);
    await until('the repair', PATIENCE_MS, async () => (fs.statSync(managed).mode & 0o777) === 0o644);
    expect(fs.readFileSync(managed, 'utf8')).toBe('1');
    await trial.stop();
    const once = await trial.cli('agent', '--once');
    expect([once.code, once.stdout + once.stderr]).toEqual([1, expect.stringContaining(disk)]);
    fs.rmSync(path.join(disk, 'filler'));
    expect((await trial.cli('agent', '--once')).code).toBe(0);
    expect(fs.readFileSync(path.join(trial.root, 'etc/b'), 'utf8')).toBe('two');
  } finally {
    await trial.stop();
    await run(['umount', disk]);
  }
});
