/** Commands that control one host: their requests to the daemon, their output and their exit codes. */
import { expect, test } from 'vitest';
import type { NotifyRequest } from '../../agent/cli/context.ts';
import { type CliDeps, runCli } from '../../agent/cli/index.ts';
import type { HoldDocument } from '../../agent/control/protocol.ts';

const COMMIT = 'c'.repeat(40);
const NOW = new Date('2026-03-01T12:00:00.000Z');
const HELD: HoldDocument = { schema: 1, pause: null, pin: null, commit: null };

/** Runs a command line against a daemon that answers `held`. */
async function cli(
  argv: readonly string[],
  { held = HELD, paused = [] as { id: string }[], env = {} as Record<string, string> } = {},
) {
  const asked: [path: string, body: unknown][] = [];
  const notified: NotifyRequest[] = [];
  let out = '';
  let err = '';
  const client = {
    get: async () => ({ paused }),
    async post(path: string, body: unknown) {
      asked.push([path, body]);
      return held;
    },
  };
  const deps = {
    version: 'test',
    client: () => client,
    self: [],
    async notify(_options: unknown, request: NotifyRequest) {
      notified.push(request);
      return { ref: request.ref ?? 'main', topic: `fairlead/default/refs/${request.ref ?? 'main'}` };
    },
  } as unknown as CliDeps;
  const terminal = {
    stdout: (text: string) => {
      out += text;
    },
    stderr: (text: string) => {
      err += text;
    },
    isTTY: false,
    columns: 200,
    env,
    now: () => NOW,
    interrupted: () => new AbortController().signal,
  };
  const code = await runCli([...argv], terminal as unknown as Parameters<typeof runCli>[1], deps);
  return { code, out, err, asked, notified };
}

test('pause without ids pauses the whole host', async () => {
  const { code, out, asked } = await cli(['pause', '--reason', 'a disk is changed']);
  expect(asked).toEqual([['pause', { reason: 'a disk is changed' }]]);
  expect(out).toMatch(/^Paused until `fairlead resume`: neither commits nor repairs change this host\./);
  expect(code).toBe(0);
});

test('pause with ids pauses these resources, for as long as the daemon reports', async () => {
  const until = '2026-03-01T14:00:00.000Z';
  const held = { ...HELD, resources: [{ id: 'service:shop/db', until, reason: '', at: NOW.toISOString() }] };
  const { out, asked } = await cli(['pause', 'service:shop/db', '--for', '2h'], { held: held as HoldDocument });
  expect(asked).toEqual([['pause', { for: '2h', ids: ['service:shop/db'] }]]);
  expect(out).toMatch(/^Paused service:shop\/db until .*, with what depends on it/);
  expect(out).not.toContain('fairlead resume');
});

test.each([
  ['its own exit code', ['sh', '-c', 'exit 7'], 7],
  ['128 and the signal that ended it', ['sh', '-c', 'kill -9 $$'], 137],
])('a command that runs under a pause exits with %s, and the pause ends with it', async (_what, command, expected) => {
  const { code, asked } = await cli(['pause', 'service:shop/db', '--', ...command]);
  expect(code).toBe(expected);
  expect(asked).toEqual([
    ['pause', { ids: ['service:shop/db'], holder: process.pid }],
    ['resume', { ids: ['service:shop/db'] }],
  ]);
});

test('a part of an id is not taken for a command, and the id that the daemon found is printed', async () => {
  const resources = [{ id: 'service:shop/db', until: null, reason: '', at: NOW.toISOString() }];
  const { out, asked } = await cli(['pause', 'shop/db'], { held: { ...HELD, resources } as HoldDocument });
  expect(asked).toEqual([['pause', { ids: ['shop/db'] }]]);
  expect(out).toMatch(/^Paused service:shop\/db until `fairlead resume service:shop\/db`/);
});

test('a command may look like an id, or like options', async () => {
  const { code, asked } = await cli(['pause', 'db', '--for', '2h', '--', 'sh', '-c', 'exit 4']);
  expect([code, asked[0]]).toEqual([4, ['pause', { for: '2h', ids: ['db'], holder: process.pid }]]);
});

test('resume without a pause prints that nothing was paused', async () => {
  const { out } = await cli(['resume', 'service:shop/db']);
  expect(out).toBe('Nothing was paused of service:shop/db.\n');
});

test('a command that cannot be started releases what was paused for it', async () => {
  const { code, err, asked } = await cli(['pause', 'service:shop/db', '--', '/nowhere/backup']);
  expect(err).toBe('fairlead: cannot run /nowhere/backup: there is no such program\n');
  expect(code).not.toBe(0);
  expect(asked.at(-1)).toEqual(['resume', { ids: ['service:shop/db'] }]);
});

test.each<[string, HoldDocument, readonly string[], RegExp]>([
  ['a pause', { ...HELD, pause: { until: null, reason: '', at: '' } }, [], /^Ended the pause; a sync is under way/],
  ['a pin', { ...HELD, pin: { commit: COMMIT, at: '' } }, [], /^Ended the pin to ccccccc; a sync is under way/],
  ['nothing', HELD, [], /^This host was neither paused nor pinned/],
  ['the pause of one', HELD, ['service:shop/db'], /^Ended the pause of service:shop\/db; a sync is under way/],
])('resume prints that the pause ended %s', async (_what, held, ids, text) => {
  const { out, asked } = await cli(['resume', ...ids], { held, paused: [{ id: 'service:shop/db' }] });
  expect(out).toMatch(text);
  expect(asked).toEqual([['resume', ids.length > 0 ? { ids } : {}]]);
});

test.each([
  ['GitHub Actions', { GITHUB_SHA: COMMIT, GITHUB_REF_NAME: 'release' }],
  ['GitLab CI', { CI_COMMIT_SHA: COMMIT, CI_COMMIT_REF_NAME: 'release' }],
])('notify takes the commit and its ref from %s', async (_what, env) => {
  const { code, notified, out } = await cli(['notify'], { env });
  expect(notified).toEqual([{ commit: COMMIT, ref: 'release' }]);
  expect(out).toBe(`Notified the hosts on release: ${COMMIT}\n`);
  expect(code).toBe(0);
});

test('notify needs the full id of a commit, and prints how to get it', async () => {
  const { code, err, notified } = await cli(['notify', 'main', 'abc']);
  expect([code, notified]).toEqual([64, []]);
  expect(err).toContain('fairlead notify main "$(git rev-parse HEAD)"');
});

test('notify for a deleted ref sends nothing', async () => {
  const { code, notified } = await cli(['notify', 'main', '0'.repeat(40)]);
  expect([code, notified]).toEqual([0, []]);
});

test.each([
  ['history --limit 0', '--limit 0: give a whole number of at least 1; see `fairlead history --help`'],
  ['history --limit', '--limit needs its <n>; see `fairlead history --help`'],
  ['status extra', 'status takes no argument, got extra; see `fairlead status --help`'],
  ['show a b', 'show takes 1 argument, got a, b; see `fairlead show --help`'],
  ['completion tcsh', 'tcsh is no shell: it is one of bash, zsh, fish; see `fairlead completion --help`'],
  ['validate --format xml', '--format xml: it is one of text, github, gitlab, json; see `fairlead validate --help`'],
  [
    'rollback zz',
    'zz is no commit: give the id of a commit, or at least its first four characters; see `fairlead rollback --help`',
  ],
  ['secret encrypt x -o', '--output needs its <file>; see `fairlead secret encrypt --help`'],
  ['stats', "unknown command 'stats'; did you mean status?; see `fairlead --help`"],
])('a usage error is one line in the words of this program: %s', async (line, said) => {
  const { code, err } = await cli(line.split(' '));
  expect({ code, err }).toEqual({ code: 64, err: `fairlead: ${said}\n` });
});

test('notify to an invalid broker address is a usage error', async () => {
  const { code, err, notified } = await cli(['notify', '--broker', 'https://b', 'main', COMMIT]);
  expect([code, notified]).toEqual([64, []]);
  expect(err).toContain('--broker must begin with mqtt:// or mqtts://');
});

test('notify sends no password to a broker unencrypted unless told to', async () => {
  const broker = ['--broker', 'mqtt://broker.example.com', '--username', 'ci', '--password-file', '/run/pw'];
  const refused = await cli(['notify', 'main', COMMIT, ...broker]);
  expect([refused.code, refused.notified]).toEqual([64, []]);
  expect(refused.err).toMatch(/mqtts:\/\/.*--insecure/);
  const insisted = await cli(['notify', 'main', COMMIT, ...broker, '--insecure']);
  const { url, ...login } = insisted.notified[0]?.broker ?? { url: '' };
  expect([insisted.code, url, login]).toEqual([
    0,
    'mqtt://broker.example.com',
    { username: 'ci', passwordFile: '/run/pw' },
  ]);
});

test("--json prints the daemon's document and nothing else", async () => {
  const { out, err } = await cli(['pause', '--json']);
  expect(JSON.parse(out)).toEqual(HELD);
  expect(err).toBe('');
});
