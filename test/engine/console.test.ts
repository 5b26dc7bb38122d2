/** The output of the command line about a host at work: documents that match their schemas, one resource, the live events. */
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, onTestFailed, test } from 'vitest';
import type { z } from 'zod';
import type { CliCommand } from '../../agent/cli/building.ts';
import type { CliDeps, Terminal } from '../../agent/cli/context.ts';
import { createProgram, pathOf } from '../../agent/cli/program.ts';
import { encryptAge } from '../../agent/secrets/age.ts';
import * as documents from '../../manifests-schema/documents.ts';
import { eventDocument, resourcesDocument, statusDocument } from '../../manifests-schema/payloads.ts';
import { until } from '../lab/run.ts';
import { PATIENCE_MS, startTrial, type Trial } from './trial.ts';

let trial: Trial;
let head: string;
const at = (file: string) => path.join(trial.root, file);
const read = (file: string) => fs.readFileSync(at(file), 'utf8');
const fleet = () => path.join(trial.root, '../fleet');
const HOST = 'hosts/trial';
const SECRET = 'correct horse battery staple';
const withLog = () => onTestFailed(() => console.error(trial.log()));
const json = async (...args: string[]) => JSON.parse((await trial.cli(...args, '--json')).stdout) as unknown;
const shown = async (id: string) => documents.showDocument.parse(await json('show', id));

beforeAll(async () => {
  trial = await startTrial();
  await trial.start();
  const { recipients } = documents.recipientsDocument.parse(await json('secret', 'recipients'));
  const recipient = recipients[0]?.recipient ?? '';
  fs.mkdirSync(path.join(fleet(), HOST), { recursive: true });
  fs.writeFileSync(path.join(fleet(), HOST, 'token.age'), await encryptAge(Buffer.from(SECRET), [recipient]));
  await trial.commit(
    {
      [`${HOST}/host.yaml`]: `roles: [base]\nage: ${recipient}\n`,
      [`${HOST}/a.yaml`]: 'files:\n  /etc/motd: {content: "hello\\n"}\n  /etc/a/app.conf: {content: a}\n',
      [`${HOST}/b.yaml`]: 'files:\n  /etc/b/app.conf: {content: b}\n  /etc/token: {source: token.age}\n',
      'roles/base/base.yaml': 'files: {/etc/motd: {content: base, mode: "0640"}}\n',
    },
    'Set up',
  );
  // The trial's own commit() adds text; the encrypted file is binary.
  const { execFileSync } = await import('node:child_process');
  const git = (...args: string[]) =>
    execFileSync('git', ['-C', fleet(), '-c', 'user.name=Ben', '-c', 'user.email=ben@example.com', ...args]);
  git('add', '-A');
  git('commit', '-qm', 'A token');
  head = git('rev-parse', 'HEAD').toString().trim();
  expect((await trial.cli('sync')).code).toBe(0);
});
afterAll(async () => trial.end());

test('every command that prints data prints a document that its schema describes', async () => {
  withLog();
  const init = fs.mkdtempSync(path.join(trial.root, '../init-'));
  const plain = path.join(init, 'plain');
  fs.writeFileSync(plain, 'x');
  const relay = path.join(init, 'relay.yaml');
  fs.writeFileSync(relay, 'mqtt: {url: "mqtts://broker"}\nnotify: [{format: slack, urlFile: /slack.url}]\n');
  const checked: Record<string, [z.ZodType, string[]][]> = {
    status: [[statusDocument, []]],
    plan: [
      [documents.planDocument, []],
      [documents.planDocument, ['--dir', fleet()]],
      [documents.planDocument, ['--commit', head.slice(0, 8)]],
      [documents.planDocument, ['--commit', 'ffffffff']],
    ],
    sync: [
      [documents.syncDocument, []],
      [documents.syncDocument, ['--no-wait']],
    ],
    pause: [[documents.holdDocument, ['--for', '1h', '--reason', 'lunch']]],
    resume: [[documents.holdDocument, []]],
    rollback: [[documents.syncDocument, [head]]],
    doctor: [[documents.doctorDocument, []]],
    resources: [[resourcesDocument, []]],
    show: [[documents.showDocument, ['file:/etc/motd']]],
    history: [
      [documents.historyDocument, []],
      [documents.runDocument, ['1']],
    ],
    init: [[documents.initDocument, ['--root', init, 'https://git.example.com/fleet.git', '--host', 'new-1']]],
    uninstall: [[documents.uninstallDocument, []]],
    validate: [[documents.validateDocument, [fleet()]]],
    render: [[documents.renderDocument, ['trial', '--dir', fleet(), '--origin']]],
    affected: [[documents.affectedDocument, ['HEAD~1', 'HEAD', '--dir', fleet()]]],
    'secret recipients': [[documents.recipientsDocument, ['--dir', fleet()]]],
    'secret encrypt': [[documents.encryptDocument, [plain, '--to', 'trial', '--dir', fleet()]]],
    'fleet status': [[documents.fleetDocument, []]],
    'fleet dashboard': [
      [documents.dashboardDocument, ['--websocket', 'ws://127.0.0.1:9001', '--out', path.join(init, 'page')]],
    ],
    'fleet sync': [[documents.fleetActDocument, ['trial']]],
    'fleet plan': [[documents.fleetActDocument, ['trial']]],
    'fleet pause': [[documents.fleetActDocument, ['trial', '--for', '1h']]],
    'fleet rollback': [[documents.fleetActDocument, ['trial', '--commit', head]]],
    'fleet resume': [[documents.fleetActDocument, ['trial']]],
    'fleet show': [[documents.fleetHostDocument, ['trial']]],
    'fleet forget': [[documents.forgetDocument, ['nobody']]],
    'fleet relay': [[documents.relayDocument, ['--check', relay]]],
    notify: [[documents.notifyDocument, ['main', head]]],
    version: [[documents.versionDocument, []]],
  };
  const all = (c: CliCommand): CliCommand[] =>
    c.commands.flatMap((sub) => [sub as CliCommand, ...all(sub as CliCommand)]);
  const printing = all(createProgram({} as Terminal, {} as CliDeps, () => undefined))
    .filter((c) => c.commands.length === 0 && !c.name().startsWith('__'))
    .map((c) => pathOf(c).slice('fairlead '.length));
  // The daemon and the completion scripts print no data; events and commands that follow a fleet have tests of their own.
  expect(Object.keys(checked).sort()).toEqual(
    printing.filter((name) => !['agent', 'completion', 'events', 'fleet events', 'fleet watch'].includes(name)).sort(),
  );
  for (const [name, calls] of Object.entries(checked))
    for (const [schema, args] of calls) {
      const { stdout, stderr } = await trial.cli(...name.split(' '), ...args, '--json');
      const result = schema.safeParse(stdout === '' ? stderr : JSON.parse(stdout));
      if (name === 'plan' && args[1] === 'ffffffff') expect(stderr).toContain('knows no commit ffffffff');
      else expect([name, args, result.error?.message ?? '']).toEqual([name, args, '']);
      expect([name, stdout.trim().split('\n').length]).toEqual([name, 1]);
      if (name === 'rollback') await trial.cli('resume');
    }
  await until('the host on its head again', PATIENCE_MS, async () => (await trial.cli('sync')).code === 0);
});

test('a command over the broker has the same effect as on the host, and history and status name it', async () => {
  withLog();
  const act = async (...args: string[]) => {
    const { code, stdout } = await trial.cli('fleet', ...args, 'trial', '--json');
    const [host] = documents.fleetActDocument.parse(JSON.parse(stdout)).hosts;
    return { code, ...host };
  };
  const synced = await act('sync', '--reason', 'as a test');
  expect(synced).toMatchObject({ code: 0, outcome: 'done', status: { sync: 'synced', health: 'healthy' } });
  const { runs } = documents.historyDocument.parse(await json('history', '--limit', '1'));
  expect(runs[0]?.command).toEqual({ id: expect.stringMatching(/^fleet-/), reason: 'as a test' });
  expect((await act('plan')).plan).toMatchObject({ commit: head, actionsTotal: 0 });
  const paused = await act('pause', '--reason', 'power works');
  expect(paused.pause?.reason).toMatch(/^power works \[command fleet-\w+\]$/);
  const held = async () => (await json('status')) as z.infer<typeof statusDocument>;
  await until('the pause', PATIENCE_MS, async () => (await held()).gate?.kind === 'pause');
  expect((await held()).gate?.reason).toContain('power works');
  expect((await held()).commands).toEqual(['sync', 'plan', 'pause', 'resume', 'rollback']);
  expect(await act('rollback', '--commit', 'f'.repeat(40))).toMatchObject({
    code: 1,
    outcome: 'refused',
    reason: 'NotAccepted',
  });
  expect((await act('resume')).pause?.reason).toContain('power works');
  await until('the host on its head again', PATIENCE_MS, async () => (await trial.cli('sync')).code === 0);
});

test('show: where a resource is declared, by which commit, its actions and their reasons; a part of the id is enough', async () => {
  const { code, stdout } = await trial.cli('show', 'motd');
  expect([code, stdout]).toEqual([0, expect.stringContaining(`declared ${HOST}/a.yaml:2 (layer ${HOST})`)]);
  expect(stdout).toContain('mode: roles/base/base.yaml:1 (layer roles/base)');
  expect(stdout).toContain('"A token" by Ben <ben@example.com>');
  expect(stdout).toMatch(/#\d+, .*: \+ create done, .*state: missing → file/);
  expect(stdout.split('\n').length).toBeLessThan(40);

  const several = await trial.cli('show', 'app.conf');
  expect([several.code, several.stdout]).toEqual([4, '']);
  expect(several.stderr).toBe(
    'fairlead: app.conf matches 2 resources; give more of the id\n  file:/etc/a/app.conf\n  file:/etc/b/app.conf\n',
  );
  const slip = await trial.cli('show', 'file:/etc/mtod');
  expect([slip.code, slip.stderr]).toEqual([
    4,
    'fairlead: no resource file:/etc/mtod; did you mean\n  file:/etc/motd\n',
  ]);
});

test('content that a repair overwrote is kept and can be printed; content of secret files is not', async () => {
  withLog();
  const drift = async (file: string, text: string | Buffer, wanted: string) => {
    fs.writeFileSync(at(file), text);
    await until(`the repair of ${file}`, PATIENCE_MS, async () => read(file) === wanted);
    await until(
      'its record',
      PATIENCE_MS,
      async () => (await shown(`file:/${file}`)).history[0]?.action.drift === true,
    );
  };
  const mine = Buffer.from([0, 255, 10, 0xc3, 0x28]);
  await drift('etc/motd', 'mine\n', 'hello\n');
  await drift('etc/motd', mine, 'hello\n');
  await until('both repairs', PATIENCE_MS, async () => (await shown('file:/etc/motd')).overwritten.length === 2);
  expect((await trial.cli('show', 'motd', '--overwritten', '2')).stdout).toBe('mine\n');
  const bytes = spawn(process.execPath, [trial.main, '--root', trial.root, 'show', 'motd', '--overwritten']);
  expect(Buffer.concat(await bytes.stdout.toArray())).toEqual(mine);
  expect(await trial.cli('show', 'motd', '--overwritten', '3')).toMatchObject({
    code: 4,
    stdout: '',
    stderr: expect.stringContaining('there are 2'),
  });

  await drift('etc/token', 'a weak secret by hand', SECRET);
  const token = await shown('file:/etc/token');
  expect(token.overwritten).toEqual([]);
  expect(token.history[0]?.action.why).toContainEqual({ field: 'kept', to: 'not kept: the content is secret' });
  const kept = fs
    .readdirSync(at('var/lib/fairlead/originals/drift'))
    .map((name) => read(`var/lib/fairlead/originals/drift/${name}`));
  const said = [JSON.stringify(token), ...kept, (await trial.cli('history', '--json')).stdout, trial.log()].join('\n');
  expect(said).not.toContain('a weak secret');
  expect(said).not.toContain(SECRET);
  expect((await trial.cli('show', 'token', '--overwritten')).code).toBe(4);
});

test('history filters by time, resource, commit and failure, with the agent and without it', async () => {
  const { runs } = documents.historyDocument.parse(await json('history', '--limit', '1000'));
  const ask = async (...args: string[]) =>
    documents.historyDocument.parse(await json('history', '--limit', '1000', ...args)).runs.map((r) => r.id);
  const answers = async () => ({
    all: await ask(),
    resource: await ask('--resource', 'file:/etc/token'),
    commit: await ask('--commit', head.slice(0, 7)),
    failed: await ask('--failed'),
    hour: await ask('--since', '1h'),
    future: await ask('--since', '2100-01-01'),
    one: (await json('history', String(runs[0]?.id))) as unknown,
  });
  const up = await answers();
  expect(up.all).toEqual(runs.map((r) => r.id));
  expect(up.resource.length).toBeGreaterThanOrEqual(2);
  expect(up.commit.length).toBeGreaterThan(0);
  expect(up.commit.length).toBeLessThan(up.all.length);
  expect([up.hour, up.future]).toEqual([up.all, []]);
  await trial.stop();
  expect(await answers()).toEqual(up);
  await trial.start();
});

test('events: one document a line, as they happen; the daemon may restart meanwhile; Ctrl-C exits successfully', async () => {
  withLog();
  const child = spawn(process.execPath, [trial.main, '--root', trial.root, 'events', '--json']);
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk;
  });
  child.stderr.on('data', (chunk: Buffer) => {
    err += chunk;
  });
  const events = () =>
    out
      .split('\n')
      .slice(0, -1)
      .map((line) => eventDocument.parse(JSON.parse(line)));
  const ofRepairs = () => events().filter((e) => e.type === 'repair');
  let n = 0;
  // It receives events from the moment of its subscription, not earlier ones.
  await until('the first event', PATIENCE_MS, async () => {
    fs.writeFileSync(at('etc/a/app.conf'), `drift ${n++}`);
    return ofRepairs().length > 0;
  });
  expect(ofRepairs()[0]?.data).toMatchObject({ resource: 'file:/etc/a/app.conf', result: 'done' });
  await until('the file as declared', PATIENCE_MS, async () => read('etc/a/app.conf') === 'a');
  await trial.stop();
  await until('a line about it', PATIENCE_MS, async () => err.includes('the daemon ended; waiting'));
  await trial.start();
  await until('the daemon to be back', PATIENCE_MS, async () => err.includes('the daemon is back'));
  // A resource that did not drift before, so that its events come from the new daemon.
  await until('an event of the new daemon', PATIENCE_MS, async () => {
    fs.writeFileSync(at('etc/b/app.conf'), `drift ${n++}`);
    return ofRepairs().some(({ data }) => data.resource === 'file:/etc/b/app.conf');
  });
  const ended = new Promise((resolve) => child.on('close', (code) => resolve(code)));
  child.kill('SIGINT');
  expect(await ended).toBe(0);
  const seqs = events().map((e) => e.seq);
  expect(seqs).toEqual([...seqs].sort((a, b) => a - b));
  expect(new Set(seqs).size).toBe(seqs.length);
});

test('show names the commit that wrote the resource, not the newest of the repository', async () => {
  withLog();
  const before = (await shown('file:/etc/motd')).commit;
  await trial.commit({ [`${HOST}/written.yaml`]: 'files: {/etc/written: {content: w}}\n' }, 'Written here');
  await trial.cli('sync');
  await trial.commit({ 'README.md': 'A motto\n' }, 'Motto');
  await trial.cli('sync');
  expect((await shown('file:/etc/written')).commit).toMatchObject({ subject: 'Written here', oneOf: 1 });
  expect((await shown('file:/etc/motd')).commit).toEqual(before);
});
