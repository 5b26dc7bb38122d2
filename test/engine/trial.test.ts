/** The command line against the real daemon: exit codes, JSON, sockets, and the topics at the broker. */
import fs from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, onTestFailed, test } from 'vitest';
import { syncDocument } from '../../manifests-schema/documents.ts';
import { eventDocument, resourcesDocument, statusDocument } from '../../manifests-schema/payloads.ts';
import { run, until } from '../lab/run.ts';
import { PATIENCE_MS, startTrial, type Trial } from './trial.ts';

let trial: Trial;
const FILE = 'hosts/trial/a.yaml';
const files = (entries: Record<string, string>) =>
  `files:\n${Object.entries(entries)
    .map(([p, c]) => `  ${p}: {content: "${c}"}\n`)
    .join('')}`;
const FOUR = { '/etc/a': '1', '/etc/b': '2', '/etc/c': '3', '/etc/d': '4' };
const status = async () => statusDocument.parse(JSON.parse((await trial.cli('status', '--json')).stdout));

beforeAll(async () => {
  trial = await startTrial();
});
afterAll(async () => trial.end());
const withLog = () => onTestFailed(() => console.error(trial.log()));

test('without a daemon: 3 for commands that need it, with one line that says what to do; 64 for usage errors', async () => {
  for (const args of [
    ...[['status'], ['plan'], ['sync'], ['resources'], ['show', 'file:/x'], ['history'], ['events']],
    ...[['pause'], ['resume'], ['rollback']],
  ]) {
    const { code, stdout, stderr } = await trial.cli(...args);
    expect([args[0], code, stdout]).toEqual([args[0], 3, '']);
    expect(stderr).toMatch(/^fairlead: .*daemon.*\n$/);
  }
  for (const args of [
    ['frobnicate'],
    ['show'],
    ['status', '--nope'],
    ['history', '--since', 'nonsense'],
    ['history', 'last'],
    ['pause', '--for', 'a while'],
    ['rollback', 'main'],
    ['validate', '--format', 'xml'],
    ['plan', '--commit', '1a2b3c4', '--dir', '.'],
  ]) {
    const { code, stderr } = await trial.cli(...args);
    expect([args, code]).toEqual([args, 64]);
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(stderr).toContain('--help');
  }
  expect((await trial.cli('version')).stdout).toMatch(/^fairlead \d/);
});

test('a sync writes the files, status exits with 0, and the broker has documents that match their schemas', async () => {
  withLog();
  const commit = await trial.commit({ [FILE]: files(FOUR) }, 'Four files');
  await trial.start();
  const done = await trial.cli('sync', '--json');
  expect([done.code, done.stderr]).toEqual([0, '']);
  expect(JSON.parse(done.stdout)).toMatchObject({ type: 'done', run: { sync: 'synced' } });
  expect(fs.readFileSync(path.join(trial.root, 'etc/d'), 'utf8')).toBe('4');
  expect((await trial.cli('status')).code).toBe(0);
  expect(await status()).toMatchObject({ sync: 'synced', health: 'healthy', applied: { commit }, problemsTotal: 0 });

  const base = 'fairlead/default/hosts/trial';
  await until('the retained status', PATIENCE_MS, async () => {
    const held = trial.retained.get(`${base}/status`);
    return held !== undefined && statusDocument.parse(JSON.parse(held)).applied?.commit === commit;
  });
  expect(trial.retained.get(`${base}/presence`)).toBe('online');
  // They are sent after the status, at a limited rate.
  const resources = () => resourcesDocument.parse(JSON.parse(trial.retained.get(`${base}/resources`) ?? '')).resources;
  await until('the retained resources', PATIENCE_MS, async () => resources().length > 0);
  expect(resources()).toHaveLength(4);
  await until('the events', PATIENCE_MS, async () => trial.events.length >= 5);
  for (const event of trial.events) eventDocument.parse(event);
  expect(trial.events.map((e) => e.seq)).toEqual(trial.events.map((_, i) => i + 1));
});

test('plan exits with 2 for changes, 0 for none, 1 for errors; --json is one document and nothing else', async () => {
  withLog();
  expect((await trial.cli('plan')).code).toBe(0);
  await trial.commit({ [FILE]: files({ ...FOUR, '/etc/a': 'new' }) }, 'One change');
  const planned = await trial.cli('plan', '--json');
  expect(planned.code).toBe(2);
  expect(JSON.parse(planned.stdout)).toMatchObject({ schema: 1, actions: [{ id: 'file:/etc/a', op: 'update' }] });
  expect(fs.readFileSync(path.join(trial.root, 'etc/a'), 'utf8')).toBe('1');
  await trial.commit({ [FILE]: 'files:\n  /etc/a: {contnet: x}\n' }, 'A slip');
  const broken = await trial.cli('plan');
  expect([broken.code, broken.stdout]).toEqual([1, expect.stringContaining(`${FILE}:2:`)]);
  expect((await trial.cli('sync')).code).toBe(1);
  expect((await trial.cli('status')).code).toBe(1);
  await trial.commit({ [FILE]: files(FOUR) }, 'Mended');
  expect((await trial.cli('sync')).code).toBe(0);
});

test('show exits with 4 for an unknown resource, history for an unknown run; both print existing ones', async () => {
  expect((await trial.cli('show', 'file:/etc/nowhere')).code).toBe(4);
  expect((await trial.cli('history', '9999')).code).toBe(4);
  const shown = await trial.cli('show', 'file:/etc/a');
  expect([shown.code, shown.stdout]).toEqual([0, expect.stringContaining(`${FILE}:2`)]);
  const rows = JSON.parse((await trial.cli('resources', '--json')).stdout) as { resources: { id: string }[] };
  expect(rows.resources.map((r) => r.id).sort()).toEqual(Object.keys(FOUR).map((p) => `file:${p}`));
});

test('a held sync exits with 2 and removes nothing until it is allowed', async () => {
  withLog();
  await trial.commit({ [FILE]: files({ '/etc/a': '1' }) }, 'Drop three of four');
  const held = await trial.cli('sync');
  expect([held.code, held.stdout]).toEqual([2, expect.stringContaining('--allow-prune')]);
  expect(fs.existsSync(path.join(trial.root, 'etc/d'))).toBe(true);
  expect((await trial.cli('plan')).code).toBe(2);
  expect((await trial.cli('sync', '--allow-prune')).code).toBe(0);
  expect(fs.existsSync(path.join(trial.root, 'etc/d'))).toBe(false);
});

test('pause stops repairs as well and survives a restart; rollback pins; resume ends both', async () => {
  withLog();
  const at = (file: string) => path.join(trial.root, file);
  await trial.commit({ [FILE]: files({ '/etc/a': '1', '/etc/b': 'first' }) }, 'First');
  expect((await trial.cli('sync')).code).toBe(0);
  await trial.commit({ [FILE]: files({ '/etc/a': '1', '/etc/b': 'second' }) }, 'Second');
  expect((await trial.cli('sync')).code).toBe(0);

  const paused = await trial.cli('pause', '--for', '2h', '--reason', 'migration');
  expect([paused.code, paused.stdout]).toEqual([0, expect.stringContaining('Paused until')]);
  fs.writeFileSync(at('etc/b'), 'by hand');
  expect((await trial.cli('sync')).code).toBe(2);
  await trial.stop();
  await trial.start();
  await until('the pause to be known again', PATIENCE_MS, async () => (await status()).gate?.kind === 'pause');
  expect((await trial.cli('status')).stdout).toContain('migration');
  expect(fs.readFileSync(at('etc/b'), 'utf8')).toBe('by hand');
  expect((await trial.cli('resume')).code).toBe(0);
  await until('the repair', PATIENCE_MS, async () => fs.readFileSync(at('etc/b'), 'utf8') === 'second');

  const back = await trial.cli('rollback');
  expect([back.code, back.stdout]).toEqual([0, expect.stringContaining('pinned to')]);
  expect(fs.readFileSync(at('etc/b'), 'utf8')).toBe('first');
  expect(await status()).toMatchObject({
    sync: 'held',
    reason: 'Pinned',
    pin: expect.stringMatching(/^[0-9a-f]{40}$/),
  });
  expect((await trial.cli('rollback', 'ffffff')).code).toBe(1);
  expect((await trial.cli('resume')).stdout).toContain('the pin');
  await until('the head again', PATIENCE_MS, async () => fs.readFileSync(at('etc/b'), 'utf8') === 'second');
  await until('all well', PATIENCE_MS, async () => (await status()).sync === 'synced');
});

test('doctor probes each part, and prints how to fix one that fails', async () => {
  withLog();
  const well = await trial.cli('doctor', '--json');
  const { findings } = JSON.parse(well.stdout) as { findings: { name: string; ok: boolean }[] };
  expect([well.code, findings.filter((f) => !f.ok)]).toEqual([0, []]);
  expect(findings.map((f) => f.name)).toEqual(
    'config daemon credentials repository broker watches clock disk'.split(' '),
  );
  await trial.stop();
  const down = await trial.cli('doctor');
  expect([down.code, down.stdout]).toEqual([1, expect.stringMatching(/FAIL {2}daemon .*\n.*→ systemctl enable --now/)]);

  const config = path.join(trial.root, 'etc/fairlead/agent.yaml');
  const before = fs.readFileSync(config, 'utf8');
  const secret = path.join(trial.root, 'etc/fairlead/token');
  const doctorWith = async (repo: string) => {
    fs.writeFileSync(config, before.replace(/^repo:.*$/m, `repo: ${repo}`));
    return (await trial.cli('doctor')).stdout.replaceAll(/\s+/g, ' ');
  };
  const url = path.join(trial.root, '../fleet');
  const withToken = `{url: "${url}", auth: {tokenFile: "${secret}"}}`;
  expect(await doctorWith(withToken)).toMatch(/FAIL credentials repo\.auth\.tokenFile names .* → create the file/);
  fs.writeFileSync(secret, 'x', { mode: 0o644 });
  expect(await doctorWith(withToken)).toMatch(/FAIL credentials .* \(mode 0644\) → chmod 600 \S+token/);
  fs.writeFileSync(secret, '');
  expect(await doctorWith(withToken)).toMatch(/FAIL credentials .* is empty → write into it/);
  expect(await doctorWith(`{url: "${url}", ref: nowhere}`)).toMatch(/FAIL repository .* → push it, or check repo\.ref/);
  fs.chmodSync(config, 0o666);
  expect(await doctorWith(`{url: "${url}"}`)).toMatch(/FAIL credentials others .* → chmod 600/);
  fs.chmodSync(config, 0o600);
  expect(await doctorWith('{urll: x}')).toMatch(/^FAIL config .*did you mean `url`.* → fix/);
  fs.writeFileSync(config, before);
  await trial.start();
});

test('the sockets: one for root alone, one that is read-only', async () => {
  const mode = (name: string) => fs.statSync(path.join(trial.root, 'run/fairlead', name)).mode & 0o777;
  expect(mode('agent.sock')).toBe(0o600);
  expect([0o600, 0o660]).toContain(mode('status.sock'));
  const http = await import('node:http');
  const ask = (method: string, address: string) =>
    new Promise<number>((resolve, reject) =>
      http
        .request({ socketPath: path.join(trial.root, 'run/fairlead/status.sock'), method, path: address }, (r) => {
          r.resume();
          resolve(r.statusCode ?? 0);
        })
        .on('error', reject)
        .end(),
    );
  for (const address of ['/v1/status', '/v1/history', '/v1/history/1', '/v1/ids?like=a'])
    expect([address, await ask('GET', address)]).toEqual([address, 200]);
  for (const [method, address] of [
    ['POST', '/v1/sync'],
    ['GET', '/v1/plan'],
    ['GET', '/v1/resources/file%3A%2Fetc%2Fa'],
    ['POST', '/v1/status'],
  ] as const)
    expect([address, await ask(method, address)]).toEqual([address, 403]);
});

test('after a kill and a start the state is known; a clean stop publishes offline and leaves every file', async () => {
  withLog();
  const before = await status();
  await trial.stop('SIGKILL');
  await until(
    'the Last Will',
    PATIENCE_MS,
    async () => trial.retained.get('fairlead/default/hosts/trial/presence') === 'offline',
  );
  const down = await trial.cli('history', '--json');
  expect([down.code, (JSON.parse(down.stdout) as { runs: unknown[] }).runs.length > 0]).toEqual([0, true]);
  await trial.start();
  await until('the first run', PATIENCE_MS, async () => (await status()).run !== null);
  const after = await status();
  expect([after.sync, after.applied?.commit]).toEqual(['synced', before.applied?.commit]);
  expect(after.agent.instance).not.toBe(before.agent.instance);
  expect(after.seq).toBeGreaterThanOrEqual(before.seq);
  expect(await trial.stop()).toBe(0);
  expect(trial.retained.get('fairlead/default/hosts/trial/presence')).toBe('offline');
  expect(fs.readFileSync(path.join(trial.root, 'etc/a'), 'utf8')).toBe('1');
  expect(trial.events.map((e) => e.seq)).toEqual(trial.events.map((_, i) => i + 1));
});

test('a missing command, a wrong address and a url with a password are one line and 64; the version has its usual options', async () => {
  const init = fs.mkdtempSync(path.join(trial.root, '../init-'));
  for (const args of [
    [],
    ['fleet'],
    ['secret'],
    ['init', 'not a url', '--root', init],
    ['init', 'https://user:pw@git.example.com/fleet.git', '--root', init],
  ]) {
    const { code, stderr, stdout } = await run([process.execPath, trial.main, ...args], { check: false });
    expect([args, code, stdout]).toEqual([args, 64, '']);
    expect(stderr.trim().split('\n')).toHaveLength(1);
  }
  expect(fs.readdirSync(init)).toEqual([]);
  expect((await run([process.execPath, trial.main, '--version'])).stdout).toMatch(/^fairlead \d/);
});

test('init prints what it leaves alone, and how to trust a git server', async () => {
  const init = fs.mkdtempSync(path.join(trial.root, '../init-'));
  const stderrOf = async (...args: string[]) =>
    (await run([process.execPath, trial.main, 'init', ...args, '--root', init])).stdout;
  expect(await stderrOf('ssh://git@git.example.com:2222/fleet.git')).toContain('ssh-keyscan -p 2222 git.example.com');
  expect(await stderrOf('https://other.example.com/x.git', '--host', 'foo')).toMatch(
    /^kept {2}\S+agent\.yaml as it was/,
  );
});

test('agent --once --json prints one document, and its log elsewhere', async () => {
  withLog();
  await trial.stop();
  const { stdout, stderr } = await trial.cli('agent', '--once', '--json');
  expect(syncDocument.parse(JSON.parse(stdout))).toMatchObject({ type: 'done', run: { trigger: 'start' } });
  expect(stderr).toContain('run finished');
});
