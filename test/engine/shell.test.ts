/** Shell and manual: completion in real shells, man pages in a real man. */
import fs from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { parseConfig } from '../../agent/config.ts';
import { CONFIG_EXAMPLE } from '../../packaging/man.ts';
import { ensurePrograms } from '../lab/packages.ts';
import { run } from '../lab/run.ts';
import { openScreen, type Screen } from '../lab/screen.ts';
import { startTrial, type Trial } from './trial.ts';

let trial: Trial;
let bin: string;

beforeAll(async () => {
  await ensurePrograms({ zsh: 'zsh', fish: 'fish', man: 'man-db', groff: 'groff-base' });
  trial = await startTrial();
  await trial.commit(
    { 'hosts/trial/a.yaml': 'files:\n  /etc/motd: {content: hello}\n  /etc/app/app.conf: {content: a}\n' },
    'Set up',
  );
  await trial.start();
  expect((await trial.cli('sync')).code).toBe(0);
  bin = path.join(trial.root, '../bin');
  fs.mkdirSync(bin);
  const script = `#!/bin/sh\nexec ${process.execPath} ${trial.main} --root ${trial.root} "$@"\n`;
  fs.writeFileSync(path.join(bin, 'fairlead'), script, { mode: 0o755 });
  for (const shell of ['bash', 'zsh', 'fish'])
    fs.writeFileSync(path.join(bin, `completion.${shell}`), (await trial.cli('completion', shell)).stdout);
});
afterAll(async () => trial.end());

async function start(shell: 'bash' | 'zsh' | 'fish'): Promise<Screen> {
  const home = fs.mkdtempSync(path.join(trial.root, '../home-'));
  const script = path.join(bin, `completion.${shell}`);
  const rc = path.join(home, shell === 'zsh' ? '.zshrc' : 'rc');
  const before = shell === 'zsh' ? "autoload -U compinit; compinit -u -D; PS1='ready> '" : "PS1='ready> '";
  fs.writeFileSync(rc, `${before}\n. ${script}\n`);
  const argv = {
    bash: ['bash', '--noprofile', '--rcfile', rc, '-i'],
    zsh: ['zsh', '-i'],
    fish: ['fish', '--init-command', `function fish_prompt; echo 'ready> '; end; source ${script}`],
  }[shell];
  const env = {
    PATH: `${bin}:${process.env.PATH}`,
    HOME: home,
    ZDOTDIR: home,
    XDG_CONFIG_HOME: home,
    XDG_DATA_HOME: home,
  };
  const screen = await openScreen({ columns: 120, argv, env });
  onTestFinished(screen.close);
  await screen.shows('ready>');
  return screen;
}

describe.each(['bash', 'zsh', 'fish'] as const)('completion in %s', (shell) => {
  test('commands, options, ids with their colons, choices', async () => {
    const screen = await start(shell);
    const becomes = async (typed: string, whole: string) => {
      await screen.press('C-u');
      await screen.type(typed);
      await screen.press('Tab');
      await screen.shows(new RegExp(`ready> ?${whole.replaceAll(/[.?*+]/g, '\\$&')}`));
    };
    await becomes('fairlead resou', 'fairlead resources');
    await becomes('fairlead sync --allow-p', 'fairlead sync --allow-prune');
    await becomes('fairlead show file:/etc/m', 'fairlead show file:/etc/motd');
    await becomes('fairlead show app/ap', 'fairlead show file:/etc/app/app.conf');
    await becomes('fairlead history --resource file:/etc/ap', 'fairlead history --resource file:/etc/app/app.conf');
    await becomes('fairlead validate --format=githu', 'fairlead validate --format=github');
    await becomes('fairlead secret recip', 'fairlead secret recipients');
    await screen.press('C-u');
    await screen.type('fairlead comp');
    await screen.press('Tab');
    await screen.press('Tab');
    const shown = await screen.shows(/completion/);
    expect(shown).not.toContain('__complete');
  });
});

test('without a daemon, completion offers what it can, and prints no error', async () => {
  const root = fs.mkdtempSync(path.join(trial.root, '../none-'));
  const ask = (...words: string[]) =>
    run([process.execPath, trial.main, '--root', root, '__complete', '--', ...words], { check: false });
  expect(await ask('show', '')).toEqual({ code: 0, stdout: '', stderr: '' });
  expect((await ask('sta')).stdout).toMatch(/^status\t/);
});

describe('man pages', () => {
  const page = (name: string) => path.join(path.dirname(trial.main), 'man', name);
  const read = async (name: string) =>
    run(['man', '--warnings', '-E', 'UTF-8', '-l', '-Tutf8', '-P', 'cat', page(name)], {
      env: { MANWIDTH: '80', LC_ALL: 'C.UTF-8' },
    });

  test('man reports no errors in them, and they have every command and every key', async () => {
    const program = await read('fairlead.1');
    const config = await read('agent.yaml.5');
    expect([program.stderr, config.stderr]).toEqual(['', '']);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: bold is a letter, a backspace and the letter again
    const plain = (text: string) => text.replaceAll(/.\u0008/g, '');
    const help = (await trial.cli('--help')).stdout;
    const commands = [...help.matchAll(/^ {2}([a-z]+)[ <[].* {2}/gm)].map((m) => m[1] ?? '');
    expect(commands.length).toBeGreaterThan(15);
    for (const name of commands.filter((n) => n !== 'help'))
      expect(plain(program.stdout)).toMatch(new RegExp(`^ +fairlead ${name}\\b`, 'm'));
    for (const key of ['host', 'repo.url', 'repo.verify.allowedSigners', 'mqtt.passwordFile', 'history.keep'])
      expect(plain(config.stdout)).toMatch(new RegExp(`^ +${key.replaceAll('.', '\\.')}\\b`, 'm'));
    // A key without a description would have a line of its own.
    expect(fs.readFileSync(page('agent.yaml.5'), 'utf8')).not.toMatch(/^\.B .*\n\n|^\.B .*\n\.TP/m);
  });

  test('a page with an error is detected', async () => {
    const broken = path.join(bin, 'broken.1');
    fs.writeFileSync(broken, `${fs.readFileSync(page('fairlead.1'), 'utf8')}.NOSUCH x\n`);
    expect((await run(['man', '--warnings', '-l', '-Tutf8', '-P', 'cat', broken])).stderr).toMatch(/NOSUCH/);
  });

  test('the example of agent.yaml is valid for the agent', () => {
    expect(parseConfig('agent.yaml', CONFIG_EXAMPLE, 'x')).toMatchObject({ host: 'edge-01', fleet: 'default' });
  });
});
