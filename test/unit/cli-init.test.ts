/** `fairlead init` and `fairlead uninstall`, as a person and as a script use them. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { beforeEach, expect, test, vi } from 'vitest';
import { parse } from 'yaml';
import { type CliDeps, runCli, type Terminal } from '../../agent/cli/index.ts';

/** No time passes between two requests to the repository. */
vi.mock('node:timers/promises', () => ({ setTimeout: async () => undefined }));

let root: string;
beforeEach(() => {
  root = mkdtempSync(path.join(os.tmpdir(), 'fairlead-init-'));
});
const config = () => path.join(root, 'etc/fairlead/agent.yaml');

interface World {
  /** The input of the person at the terminal, in order. */
  answers?: string[];
  service?: 'started' | 'stopped' | 'absent';
  /** The daemon's answers in order; the last one is repeated. */
  syncs?: (string | { sync: string; message: string })[];
  /** The daemon's own state after init has started it. */
  is?: object;
  /** By how many ms each reading of the clock is later than the one before. */
  passesMs?: number;
  resources?: { id: string; sync: string }[];
  leaves?: number;
  isContainer?: boolean;
}

async function cli(world: World, ...argv: string[]) {
  const out = { stdout: '', stderr: '', code: -1, asked: [] as string[], done: [] as string[] };
  const { answers, syncs = [], resources = [], passesMs = 0 } = world;
  let nowMs = Date.now();
  const terminal = {
    stdout: (text: string) => {
      out.stdout += text;
    },
    stderr: (text: string) => {
      out.stderr += text;
    },
    isTTY: answers !== undefined,
    columns: 100,
    env: { NO_COLOR: '1', ...(world.isContainer ? { FAIRLEAD_CONTAINER: '1' } : {}) },
    now: () => {
      nowMs += passesMs;
      return new Date(nowMs);
    },
    interrupted: () => new AbortController().signal,
    ...(answers
      ? {
          ask: async (question: string) => {
            out.asked.push(question);
            return answers.shift() ?? '';
          },
        }
      : {}),
  } as unknown as Terminal;
  const deps = {
    version: '1.0.0',
    paths: () => ({ config: config(), state: path.join(root, 'var/lib/fairlead') }),
    service: async (_: unknown, what: string) => {
      out.done.push(what);
      return world.service ?? 'absent';
    },
    runAgent: async (options: { leaving?: boolean }) => {
      out.done.push(options.leaving ? 'leave' : 'run');
      return world.leaves ?? 0;
    },
    examine: async () => {
      out.done.push('doctor');
      return [{ name: 'config', ok: true, unknown: false, message: 'read', fix: '' }];
    },
    client: () => ({
      get: async (address: string) => (address === 'resources' ? { resources } : (world.is ?? { sync: 'unassigned' })),
      sync: async (_: unknown, how: { line(line: object): void }) => {
        out.done.push('sync');
        const said = (syncs.length > 1 ? syncs.shift() : syncs[0]) ?? 'synced';
        how.line({ type: 'done', status: typeof said === 'string' ? { sync: said } : said });
      },
    }),
  } as unknown as CliDeps;
  out.code = await runCli(argv, terminal, deps);
  return out;
}

test('init starts the service, shows the line to commit, and ends with doctor', async () => {
  const ran = await cli({ service: 'started' }, 'init', 'https://git.example.com/fleet.git', '--host', 'edge-1');
  expect(ran.code).toBe(0);
  expect(ran.stdout).toMatch(/mkdir -p hosts\/edge-1 && echo 'age: age1\w+' >> hosts\/edge-1\/host\.yaml/);
  expect(ran.done).toEqual(['start', 'doctor']);
  expect(ran.stdout.trimEnd()).toMatch(/ok {4}config {2}read$/);
});

test('init writes the broker with its user and password file', async () => {
  const broker = ['--broker', 'mqtts://b.example.com', '--username', 'u', '--password-file', '/etc/fairlead/p'];
  await cli({}, 'init', 'https://git.example.com/fleet.git', ...broker);
  expect(parse(readFileSync(config(), 'utf8')).mqtt).toEqual({
    url: 'mqtts://b.example.com',
    username: 'u',
    passwordFile: '/etc/fairlead/p',
  });
});

test.each([
  ['http://b.example.com', 'is no address of a broker'],
  ['mqtts://u:p@b.example.com', 'must not carry a user or a password'],
])('init refuses the broker %s and writes nothing', async (broker, why) => {
  const ran = await cli({ service: 'started' }, 'init', 'https://git.example.com/fleet.git', '--broker', broker);
  expect(ran.code).not.toBe(0);
  expect(ran.stderr).toContain(why);
  expect(existsSync(config())).toBe(false);
  expect(ran.done).toEqual([]);
});

test('init with --no-start leaves the service alone', async () => {
  const ran = await cli({ service: 'started' }, 'init', 'https://git.example.com/fleet.git', '--no-start');
  expect(ran.done).toEqual([]);
});

test('in a terminal init asks for missing values, and asks again after an invalid answer', async () => {
  const answers = ['not a url', 'https://git.example.com/fleet.git', 'mqtts://b.example.com', 'edge-7', 'n'];
  const ran = await cli({ service: 'started', answers }, 'init');
  expect(ran.code).toBe(0);
  expect(ran.asked.map((question) => question.split(' ')[0])).toEqual(['Fleet', 'Fleet', 'MQTT', 'Name', 'Wait']);
  expect(parse(readFileSync(config(), 'utf8'))).toMatchObject({
    host: 'edge-7',
    repo: { url: 'https://git.example.com/fleet.git' },
    mqtt: { url: 'mqtts://b.example.com' },
  });
});

test("init waits until the repository contains the host's directory", async () => {
  const world = { service: 'started', syncs: ['unassigned', 'synced'] } as const;
  const ran = await cli({ ...world, syncs: [...world.syncs] }, 'init', '/srv/fleet.git', '--host', 'edge-1', '--wait');
  expect(ran.done).toEqual(['start', 'sync', 'sync', 'doctor']);
  expect(ran.stdout).toContain('hosts/edge-1 is there, and this host follows it');
});

test('in a terminal init offers to wait for a repository that has no commit yet', async () => {
  const answers = ['https://git.example.com/fleet.git', '', '', 'y'];
  const world = { service: 'started' as const, answers, is: { sync: 'failed', desired: null }, syncs: ['synced'] };
  const ran = await cli(world, 'init');
  expect(ran.asked.at(-1)).toMatch(/^Wait until/);
  expect(ran.stdout).toContain('is there, and this host follows it');
});

test('while waiting, init prints each obstacle once', async () => {
  const missing = { sync: 'unassigned', message: 'hosts/edge-1 does not exist in commit 1234567' };
  const empty = { sync: 'unassigned', message: 'hosts/edge-1 declares nothing in commit 7654321' };
  const world = { service: 'started' as const, syncs: [missing, missing, empty, 'synced'] };
  const ran = await cli(world, 'init', '/srv/fleet.git', '--host', 'edge-1', '--wait');
  const said = ran.stdout.split('\n').filter((line) => line.includes('in commit'));
  expect(said.map((line) => line.trim())).toEqual([missing.message, empty.message]);
});

test('a host directory with mistakes counts as present, and the mistakes are printed', async () => {
  const wrong = { sync: 'failed', message: 'commit 1234567 has an error and was not applied: a.yaml:1:1' };
  const world = { service: 'started' as const, syncs: [wrong] };
  const ran = await cli(world, 'init', '/srv/fleet.git', '--host', 'edge-1', '--wait');
  expect(ran.stdout).toContain(`hosts/edge-1 is there, and this host follows it\n      ${wrong.message}`);
});

test('an unreadable repository does not count as one that contains the directory', async () => {
  const away = { sync: 'unknown', message: 'cannot read http://git/fleet.git' };
  const world = { service: 'started' as const, syncs: [away, 'synced'] };
  const ran = await cli(world, 'init', '/srv/fleet.git', '--host', 'edge-1', '--wait');
  expect(ran.done).toEqual(['start', 'sync', 'sync', 'doctor']);
  expect(ran.stdout).toContain(away.message);
});

test('a script whose wait ends without a directory gets a message and an exit code', async () => {
  const world = { service: 'started' as const, syncs: ['unassigned'], passesMs: 40_000 };
  const ran = await cli(world, 'init', '/srv/fleet.git', '--host', 'edge-1', '--wait', '1m');
  expect(ran.code).toBe(1);
  expect(ran.stderr).toContain('nothing for this host after 1m');
  expect(ran.done).toContain('doctor');
});

test('a second init keeps the configuration and the keys', async () => {
  await cli({}, 'init', 'https://git.example.com/fleet.git');
  const before = readFileSync(config(), 'utf8');
  const again = await cli({ service: 'started' }, 'init', 'https://git.example.com/fleet.git');
  expect(again.code).toBe(0);
  expect(again.stdout).not.toContain('made');
  expect(readFileSync(config(), 'utf8')).toBe(before);
});

/** Larger than any process id of Linux: proc(5), pid_max. */
const NO_PID = 2 ** 22 + 1;

test('init leaves the temporary file of another one that runs', async () => {
  const others = `${config()}.1.tmp`;
  mkdirSync(path.dirname(others), { recursive: true });
  writeFileSync(others, '');
  expect((await cli({}, 'init', 'https://git.example.com/fleet.git')).code).toBe(0);
  expect(readdirSync(path.dirname(config()))).toContain(path.basename(others));
});

test('init after a power cut in the middle of another one makes whole files, and a key pair that belongs together', async () => {
  const key = path.join(path.dirname(config()), 'ssh_key');
  mkdirSync(path.dirname(key), { recursive: true });
  // What was written and not synced is empty; what was not renamed yet has its first name.
  const left = [`${config()}.${process.pid}.tmp`, `${config()}.${NO_PID}.tmp`];
  for (const file of [...left, `${key}.new`, `${key}.new.pub`, `${key}.pub`]) writeFileSync(file, '');
  const ran = await cli({}, 'init', 'https://git.example.com/fleet.git');
  expect(ran.code).toBe(0);
  expect(readFileSync(config(), 'utf8')).toContain('https://git.example.com/fleet.git');
  const [type, half] = execFileSync('ssh-keygen', ['-y', '-f', key]).toString().split(' ');
  expect(readFileSync(`${key}.pub`, 'utf8')).toMatch(`${type} ${half?.trim()}`);
  expect(ran.stdout).toContain(`ssh   ${type} ${half?.trim()}`);
  expect(readdirSync(path.dirname(config())).sort()).toEqual(['agent.yaml', 'ssh_key', 'ssh_key.pub']);
  expect([config(), key].map((file) => statSync(file).mode & 0o777)).toEqual([0o600, 0o600]);
});

const TREE = '/var/lib/fairlead/tree';
function tree(files: Record<string, string>) {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(root, TREE, name)), { recursive: true });
    writeFileSync(path.join(root, TREE, name), content);
  }
}

test('uninstall stops the agent, and lists only files below tree/ that are as declared', async () => {
  tree({ 'a/app.conf': 'ours', 'a/edited.conf': 'edited', 'a/data': 'theirs' });
  const resources = [
    { id: `file:${TREE}/a`, sync: 'synced' },
    { id: `file:${TREE}/a/app.conf`, sync: 'synced' },
    { id: `file:${TREE}/a/edited.conf`, sync: 'out-of-sync' },
    { id: 'file:/etc/motd', sync: 'synced' },
  ];
  const ran = await cli({ service: 'stopped', resources }, 'uninstall');
  expect(ran.code).toBe(0);
  expect(ran.done).toEqual(['stop']);
  const sums = readFileSync(path.join(root, 'var/lib/fairlead/tree.sums'), 'utf8');
  expect(sums).toMatch(/^[0-9a-f]{64} {2}\/var\/lib\/fairlead\/tree\/a\/app\.conf\n$/);
});

test('uninstall says how to remove the package or the container', async () => {
  tree({ 'a/app.conf': 'ours' });
  expect((await cli({ service: 'stopped' }, 'uninstall')).stdout).toContain('`apt remove fairlead`');
  const { stdout } = await cli({ isContainer: true }, 'uninstall');
  expect(stdout).toContain('fairlead-container.service');
  expect(stdout).not.toContain('apt');
});

test('uninstall waits for the end of an upgrade, which would start the agent again', async () => {
  tree({});
  mkdirSync(path.join(root, 'var/lib/fairlead/upgrade'), { recursive: true });
  writeFileSync(path.join(root, 'var/lib/fairlead/upgrade/order'), 'version=0.2.0\n');
  const ran = await cli({ service: 'stopped' }, 'uninstall');
  expect(ran.code).toBe(1);
  expect(ran.done).toEqual([]);
});

test('uninstall --remove-managed removes resources after the agent was stopped', async () => {
  tree({});
  mkdirSync(path.join(root, TREE), { recursive: true });
  const resources = [{ id: 'file:/etc/motd', sync: 'synced' }];
  const ran = await cli({ service: 'stopped', resources }, 'uninstall', '--remove-managed');
  expect(ran.done).toEqual(['stop', 'leave']);
  expect(ran.stdout).toContain('Removed what fairlead managed on this host (1 resource);');
  expect(ran.code).toBe(0);
});

test('uninstall reports what it could not remove', async () => {
  mkdirSync(path.join(root, TREE), { recursive: true });
  const ran = await cli({ service: 'stopped', leaves: 1 }, 'uninstall', '--remove-managed');
  expect(ran.code).toBe(1);
  expect(ran.stderr).toContain('not everything could be removed');
});
