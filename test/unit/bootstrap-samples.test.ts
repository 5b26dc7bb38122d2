/**
 * The samples of examples/bootstrap, as far as they can be checked without their tools: they are YAML of the shape that the tools
 * accept, use commands and options that this program has, and name this version, like the pages of docs. cloud-init and Ansible
 * themselves read them in `npm run soak -- bootstrap`.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { CommanderError } from 'commander';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import type { CliCommand } from '../../agent/cli/building.ts';
import type { CliDeps, Terminal } from '../../agent/cli/context.ts';
import { createProgram } from '../../agent/cli/program.ts';
import { parseConfig } from '../../agent/config.ts';
import { compareVersions, parseVersion } from '../../agent/git/trust/refs.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const SAMPLES = path.join(ROOT, 'examples/bootstrap');
const read = (file: string) => readFileSync(path.join(SAMPLES, file), 'utf8');

/** The part of cloud-init's schema that the sample uses (cloudinit.readthedocs.io, module reference). */
const USER_DATA = z.strictObject({
  write_files: z.array(
    z.strictObject({
      path: z.string().startsWith('/'),
      permissions: z.string().regex(/^0[0-7]{3}$/),
      content: z.string(),
    }),
  ),
  runcmd: z.array(z.array(z.string())),
});
const userData = () => USER_DATA.parse(parse(read('cloud-init/user-data.yaml')));

const terminal = {
  stdout: () => undefined,
  stderr: () => undefined,
  isTTY: false,
  columns: 80,
  rows: 24,
  env: {},
  now: () => new Date(0),
  interrupted: () => new AbortController().signal,
} satisfies Terminal;
const all = (command: CliCommand): CliCommand[] => [command, ...command.commands.flatMap((c) => all(c as CliCommand))];

/** Throws if the program does not accept this command line. */
async function parseWords(argv: readonly string[]): Promise<void> {
  const program = createProgram(terminal, { version: '0' } as CliDeps, () => undefined);
  for (const command of all(program))
    command
      .exitOverride()
      .configureOutput({ writeErr: () => undefined })
      .action(() => undefined);
  await program.parseAsync([...argv], { from: 'user' });
}

/** The argument lists with which a script calls `fairlead`; other programs that it calls do nothing. */
function callsOf(script: string): string[][] {
  const dir = mkdtempSync(path.join(os.tmpdir(), 'fairlead-samples-'));
  try {
    for (const name of ['curl', 'apt-get', 'sha256sum', 'hostname'])
      writeFileSync(path.join(dir, name), '#!/bin/sh\necho edge-1\n');
    writeFileSync(path.join(dir, 'fairlead'), `#!/bin/sh\nprintf '%s\\n' "$@" '' >> ${dir}/calls\n`);
    for (const name of readdirSync(dir)) chmodSync(path.join(dir, name), 0o755);
    const { status } = spawnSync('/bin/sh', ['-ec', script], { env: { PATH: dir }, stdio: 'ignore' });
    expect(status).toBe(0);
    const calls = readFileSync(path.join(dir, 'calls'), 'utf8')
      .split(/\n\n(?!\n)/)
      .slice(0, -1);
    return calls.map((call) => call.split('\n'));
  } finally {
    rmSync(dir, { recursive: true });
  }
}

test('user-data for cloud-init has the required first line and the shape that cloud-init accepts', () => {
  expect(read('cloud-init/user-data.yaml').split('\n')[0]).toBe('#cloud-config');
  expect(userData().runcmd).toHaveLength(1);
});

test('user-data for cloud-init calls the program with arguments that it has', async () => {
  const [, , script = ''] = userData().runcmd[0] ?? [];
  const calls = callsOf(script);
  expect(calls.map(([name]) => name)).toEqual(['init']);
  for (const argv of calls) await parseWords(argv);
});

test('a call with unknown arguments is detected', async () => {
  const [argv = []] = callsOf('fairlead init --brokr x');
  await expect(parseWords(argv)).rejects.toThrow(CommanderError);
});

test('the playbook and its role are YAML, and their agent.yaml is valid', () => {
  const [play] = parse(read('ansible/playbook.yml')) as [
    { roles: [{ role: string; vars: { fairlead_config: object } }] },
  ];
  const { role, vars } = play.roles[0];
  const rendered = JSON.stringify(vars.fairlead_config).replaceAll('{{ inventory_hostname }}', 'edge-1');
  expect(parseConfig('agent.yaml', rendered, 'edge-1').repo.url).toBe('https://git.example.com/fleet.git');
  for (const part of ['tasks', 'handlers'])
    expect(parse(read(`ansible/roles/${role}/${part}/main.yml`))).toBeInstanceOf(Array);
});

test('each task of the role calls one module by its full name, and fairlead with arguments that it has', async () => {
  const tasks = ['tasks', 'handlers'].flatMap(
    (part) => parse(read(`ansible/roles/fairlead/${part}/main.yml`)) as object[],
  );
  for (const task of tasks)
    expect(Object.keys(task).filter((key) => key.startsWith('ansible.builtin.'))).toHaveLength(1);
  const commands = tasks.flatMap((task) => Object.entries(task)).filter(([key]) => key === 'ansible.builtin.command');
  const calls = commands.map(([, line]) => String(line).split(' ')).filter(([program]) => program === 'fairlead');
  expect(calls).toHaveLength(1);
  for (const [, ...argv] of calls) await parseWords(argv);
});

const { version } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as { version: string };
/** Versions in names of packages and images, in the spelling of npm. */
const versionsIn = (text: string): string[] =>
  [...text.matchAll(/fairlead[-_:](\d[\w.~-]*?)(?=[_\s"'`]|-(?:1\.|image|linux))/g)].map(([, found = '']) =>
    found.replace('~', '-'),
  );

test('packages in the samples have this version', () => {
  const files = readdirSync(SAMPLES, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const named = files.flatMap((entry) => versionsIn(readFileSync(path.join(entry.parentPath, entry.name), 'utf8')));
  expect(new Set(named)).toEqual(new Set([version]));
});

const PAGES = [
  ...['README.md', 'docs/install.md', 'docs/upgrade.md', 'docs/recovery.md'],
  ...readdirSync(path.join(ROOT, 'docs/recovery')).map((name) => `docs/recovery/${name}`),
];

/** A plain 0.1.0 is no later version than the candidate 0.1.0-rc.1: no such file exists yet. */
const isLater = (found: string): boolean => {
  const numbersOf = (text: string) => parseVersion(text)?.numbers ?? ([0, 0, 0] as const);
  return compareVersions({ numbers: numbersOf(found), pre: [] }, { numbers: numbersOf(version), pre: [] }) > 0;
};

test.each(PAGES)('packages and images that %s names have this version, or a later one to upgrade to', (page) => {
  const named = versionsIn(readFileSync(path.join(ROOT, page), 'utf8'));
  expect(named.filter((found) => found !== version && !isLater(found))).toEqual([]);
});

test('a name with another version is detected', () => {
  const names =
    'fairlead_0.1.0_amd64.deb fairlead-0.1.0~rc.1-1.x86_64.rpm `fairlead:0.0.9` fairlead-9.1.0-image-amd64.tar';
  expect(versionsIn(names)).toEqual(['0.1.0', '0.1.0-rc.1', '0.0.9', '9.1.0']);
});
