/** The program's words: every command has help with valid examples, and completion. */
import { spawnSync } from 'node:child_process';
import { CommanderError } from 'commander';
import { describe, expect, test } from 'vitest';
import type { CliCommand } from '../../agent/cli/building.ts';
import type { CliDeps, Terminal } from '../../agent/cli/context.ts';
import { createProgram, pathOf } from '../../agent/cli/program.ts';
import { complete } from '../../agent/cli/shell/complete.ts';

const terminal = {
  stdout: () => undefined,
  stderr: () => undefined,
  isTTY: false,
  rows: 24,
  columns: 80,
  env: {},
  now: () => new Date('2026-11-24T12:00:00Z'),
  interrupted: () => new AbortController().signal,
} satisfies Terminal;
const create = () => createProgram(terminal, { version: '0' } as CliDeps, () => undefined);

const all = (command: CliCommand): CliCommand[] => [command, ...command.commands.flatMap((c) => all(c as CliCommand))];
const visibleCommands = () => all(create()).filter((c) => !c.name().startsWith('__'));

/** The words of a line as sh reads it: of the last fairlead command, without redirections. No program writes a file. */
function words(line: string): string[] {
  const { stdout } = spawnSync('sh', [
    '-c',
    `fairlead() { printf '%s\\0' "$@"; }; git() { echo abc; }; jq() { cat; }; tee() { cat; }; HOME=/root; ${line.replace(/ > \S+$/, '')}`,
  ]);
  return stdout.toString().split('\0').slice(0, -1);
}

/** A fresh program in which no command does anything. */
async function parse(argv: readonly string[]): Promise<string> {
  const program = create();
  let ran = '';
  for (const command of all(program))
    command.exitOverride().action(() => {
      ran = pathOf(command);
    });
  await program.parseAsync([...argv], { from: 'user' });
  return ran;
}

describe('help', () => {
  test('every command has a description and examples', () => {
    expect(visibleCommands().length).toBeGreaterThan(20);
    for (const command of visibleCommands()) {
      expect([pathOf(command), command.description()]).toEqual([pathOf(command), expect.stringMatching(/\S/)]);
      const printed: string[] = [];
      command.configureOutput({ writeOut: (text) => printed.push(text) }).outputHelp();
      const help = printed.join('');
      expect([pathOf(command), help]).toEqual([pathOf(command), expect.stringMatching(/\nExamples:\n {2}\S/)]);
      for (const line of help.split('\n')) expect(line.length, line).toBeLessThanOrEqual(100);
    }
  });

  test('every example is valid, and belongs to its own command', async () => {
    for (const command of visibleCommands())
      for (const example of command.examples) {
        if (!example.startsWith('fairlead')) continue;
        const ran = await parse(words(example));
        expect(`${ran} `, example).toMatch(new RegExp(`^${pathOf(command)} `));
      }
  });

  test('an invalid example is detected', async () => {
    await expect(parse(words('fairlead plan --dri x'))).rejects.toThrow(CommanderError);
    await expect(parse(['plan', '--commit', 'main'])).rejects.toThrow(/id of a commit/);
    await expect(parse(['plan', '--commit', '1a2b3c4', '--dir', 'x'])).rejects.toThrow(/conflict|cannot be used/);
  });
});

describe('completion', () => {
  const asked: [string, object][] = [];
  const ids = ['file:/etc/motd', 'service:shop/web'];
  const offer = async (...typed: string[]) => {
    const found = await complete(create(), typed, async (placeholder, { given, argumentOf }) => {
      asked.push([placeholder, { ...given, argumentOf }]);
      return ids.map((value) => ({ value, text: '' }));
    });
    return found.map((c) => c.value);
  };

  test('offers commands, and those of a group, but no hidden ones', async () => {
    expect(await offer('s')).toEqual(['status', 'sync', 'show', 'secret']);
    expect(await offer('')).not.toContain('__complete');
    expect(await offer('secret', '')).toEqual(['recipients', 'encrypt', 'help']);
    expect(await offer('nonsense', 'x')).toEqual([]);
  });

  test('offers options of the command and of the program', async () => {
    expect(await offer('sync', '--a')).toEqual(['--allow-prune', '--allow-rewind', '--allow-empty', '--adopt']);
    expect(await offer('--json', 'sync', '--ro')).toEqual(['--root']);
  });

  test('offers values of arguments, of options in both spellings, and of choices', async () => {
    expect(await offer('show', 'file')).toEqual(['file:/etc/motd']);
    expect(await offer('history', '--resource', '')).toHaveLength(2);
    expect(await offer('history', '--resource=ser')).toEqual(['--resource=service:shop/web']);
    expect(await offer('validate', '--format', 'git')).toEqual(['github', 'gitlab']);
    expect(await offer('completion', '')).toEqual(['bash', 'zsh', 'fish']);
    asked.length = 0;
    await offer('--root', '/r', 'render', '--dir', '/fleet', '');
    expect(asked).toEqual([['host', { root: '/r', dir: '/fleet', argumentOf: 'render' }]]);
    asked.length = 0;
    await offer('secret', 'encrypt', 'f', '--to', 'a', '');
    await offer('secret', 'recipients', 'a', '');
    expect(asked.map(([name]) => name)).toEqual(['hosts', 'hosts']);
  });

  test('completes an id by the beginning of one of its parts, and keeps the typed text if several match', async () => {
    expect(await offer('show', 'shop/')).toEqual(['service:shop/web']);
    expect(await offer('history', '--resource=web')).toEqual(['--resource=service:shop/web']);
    expect(await offer('show', 'hop')).toEqual([]);
    ids.push('service:blog/web', 'service:shop/worker');
    expect(await offer('show', 'shop/')).toEqual(['service:shop/web', 'service:shop/worker']);
    expect(await offer('show', 'web')).toEqual(['web', 'service:shop/web', 'service:blog/web']);
    ids.splice(2);
  });

  test('offers nothing after a flag without value, or after the last word of a command', async () => {
    expect(await offer('show', 'file:/etc/motd', '')).toEqual([]);
    expect(await offer('sync', '--force', '')).toEqual([]);
  });
});
