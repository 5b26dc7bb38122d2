/** The command line in a real terminal: narrow, wide, without colour, in a pipe, interrupted. */
import fs from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { run, until } from '../lab/run.ts';
import { openScreen, type Screen } from '../lab/screen.ts';
import { PATIENCE_MS, startTrial, type Trial } from './trial.ts';

let trial: Trial;
let go: string;
const ESCAPE = '\u001b';
const FILE = 'hosts/trial/a.yaml';
const SUBJECT =
  'Set up the fleet as it was agreed upon in the meeting of last week, with all that was said about the names';
const at = (file: string) => path.join(trial.root, file);
const files = (extra = '') =>
  `files:\n  /etc/motd: {content: "hello\\n"}\n  /etc/shop/orders/limits.conf: {content: "max = 100\\n"}\n${extra}`;

beforeAll(async () => {
  trial = await startTrial();
  await trial.commit({ [FILE]: files() }, SUBJECT);
  await trial.start();
  expect((await trial.cli('sync')).code).toBe(0);
  fs.writeFileSync(at('etc/motd'), 'by hand');
  await until(
    'the repair',
    PATIENCE_MS,
    async () =>
      (await trial.cli('history', '1', '--json')).code === 0 && fs.readFileSync(at('etc/motd'), 'utf8') === 'hello\n',
  );
  go = path.join(trial.root, '../go');
});
afterAll(async () => trial.end());

/** Runs the program in a terminal with this many columns; the screen shows its exit code. */
async function fairlead(columns: number, args: readonly string[], env: Record<string, string> = {}): Promise<Screen> {
  const program = [process.execPath, trial.main, '--root', trial.root, ...args];
  const argv = ['sh', '-c', 'trap : INT; "$@"; echo "exit $?"; read _', 'sh', ...program];
  const screen = await openScreen({ columns, argv, env: { TERM: 'screen', ...env } });
  onTestFinished(screen.close);
  return screen;
}

const COMMANDS: readonly (readonly string[])[] = [
  ['status'],
  ['resources'],
  ['history'],
  ['history', '1'],
  ['show', 'file:/etc/motd'],
  ['plan'],
  ['doctor'],
  ['--help'],
  ['history', '--help'],
];

describe.each([60, 80, 200])('at %i columns', (columns) => {
  test.each(COMMANDS.map((args) => args.join(' ')))('no line of `%s` is longer', async (command) => {
    const screen = await fairlead(columns, command.split(' '));
    await screen.shows(/exit \d/);
    const lines = (await screen.text({ joined: true })).split('\n');
    // A word that is longer than the terminal is not broken.
    for (const line of lines.filter((l) => l.split(' ').every((word) => word.length < 40)))
      expect(line.length, line).toBeLessThanOrEqual(columns);
    expect(lines.length).toBeGreaterThan(1);
  });
});

test('a narrow table is cut with a mark, a wide one is complete', async () => {
  const narrow = await (await fairlead(60, ['history'])).shows(/exit 0/);
  expect(narrow).toContain('…');
  expect(narrow).not.toContain(SUBJECT);
  const wide = await (await fairlead(250, ['history'])).shows(/exit 0/);
  expect(wide).toContain(SUBJECT);
});

test('colours in a terminal; none with NO_COLOR, on a dumb one, in a pipe', async () => {
  const colours = async (env: Record<string, string>) => {
    const screen = await fairlead(100, ['status'], env);
    await screen.shows(/exit 0/);
    return (await screen.text({ colours: true })).includes(`${ESCAPE}[32msynced`);
  };
  expect(await colours({})).toBe(true);
  expect(await colours({ NO_COLOR: '1' })).toBe(false);
  expect(await colours({ TERM: 'dumb' })).toBe(false);
  const piped = await trial.cli('history');
  expect(piped.stdout).not.toContain(ESCAPE);
  expect(piped.stdout).toContain(SUBJECT);
});

test('a reader that closes the pipe early is no error', async () => {
  const program = [process.execPath, trial.main, '--root', trial.root, 'history'].join(' ');
  const { stdout, stderr } = await run(['bash', '-c', `${program} | head -1; echo "\${PIPESTATUS[0]}"`]);
  expect([stdout.split('\n').slice(1), stderr]).toEqual([['0', ''], '']);
});

describe('a long sync', () => {
  /** The test decides when its validator ends. */
  const slow = (content: string) =>
    files(`  /etc/slow: {content: ${content}, validate: [sh, -c, "while [ ! -e ${go} ]; do sleep 0.1; done", "%s"]}\n`);
  const finish = async (content: string) => {
    fs.writeFileSync(go, '');
    await until('the run to end', PATIENCE_MS, async () => fs.readFileSync(at('etc/slow'), 'utf8') === content);
    await until('the daemon to report it', PATIENCE_MS, async () => (await trial.cli('status')).code === 0);
    fs.rmSync(go);
  };

  test('shows its progress and duration on one line; after Ctrl-C it prints that the run continues, and it does', async () => {
    await trial.commit({ [FILE]: slow('one') }, 'Slow one');
    const screen = await fairlead(80, ['sync']);
    const waiting = await screen.shows(/\(\d+ s\)/);
    expect(waiting.trim().split('\n')).toHaveLength(1);
    await screen.press('C-c');
    const left = await screen.shows('exit 130');
    expect(left).toContain('the run continues');
    expect(left).not.toMatch(/\(\d+ s\)/);
    expect(fs.existsSync(at('etc/slow'))).toBe(false);
    await finish('one');
  });

  test('ends with each action and the status', async () => {
    await trial.commit({ [FILE]: slow('two') }, 'Slow two');
    const screen = await fairlead(80, ['sync']);
    await screen.shows(/\(\d+ s\)/);
    fs.writeFileSync(go, '');
    const shown = await screen.shows('exit 0');
    expect(shown).toMatch(/^~ file:\/etc\/slow {2}update done/m);
    expect(shown).toMatch(/^trial {2}synced, healthy/m);
    expect(shown).not.toMatch(/\(\d+ s\)$/m);
    fs.rmSync(go);
  });

  test('in a pipe: plain lines, each printed once', async () => {
    await trial.commit({ [FILE]: slow('three') }, 'Slow three');
    const running = trial.cli('sync');
    await finish('three');
    const { code, stdout, stderr } = await running;
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).not.toContain('\r');
    expect(stdout).not.toContain(ESCAPE);
    const lines = stdout.split('\n');
    expect(lines.filter((l) => l === 'asking the repository …')).toHaveLength(1);
    expect(lines.find((l) => l.startsWith('~ file:/etc/slow'))).toBeDefined();
  });
});
