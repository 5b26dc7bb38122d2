/** Every example on every page: the program accepts the command lines, and YAML is valid for its file. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import type { CliCommand } from '../../agent/cli/building.ts';
import type { CliDeps, Terminal } from '../../agent/cli/context.ts';
import { createProgram } from '../../agent/cli/program.ts';
import { loadRepo, messages } from './repo.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const pages = [
  'README.md',
  'CONTRIBUTING.md',
  ...readdirSync(path.join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.md'))
    .map((file) => `docs/${file}`),
].sort();
const fences = pages.flatMap((page) => {
  const text = readFileSync(path.join(ROOT, page), 'utf8');
  return [...text.matchAll(/^ *```(\w+)\n([\s\S]*?)^ *```$/gm)].map((match) => ({
    language: match[1] ?? '',
    body: match[2] ?? '',
    at: `${page}:${text.slice(0, match.index).split('\n').length}`,
  }));
});

/** The words of each `fairlead …` in a block of commands, without prompts, comments, variables and anything after a pipe. */
function commandLines(body: string, language: string): string[][] {
  return body
    .replaceAll(/\\\n\s*/g, ' ')
    .split('\n')
    .flatMap((line) => (language === 'console' ? (/^(?:[\w-]+)?[#$] (.*)$/.exec(line)?.[1] ?? []) : line))
    .map((line) => line.replace(/(?:^|\s)#\s.*$/, ''))
    .flatMap((line) => line.split(/\s(?:\||\|\||&&|;|>|<)\s|;\s/))
    .map((line) => (/(?:^|\s)fairlead (.*)$/.exec(line)?.[1] ?? '').split(' -- ')[0]?.trim() ?? '')
    .filter((words) => words !== '')
    .map((words) => words.match(/"[^"]*"|'[^']*'|\S+/g) ?? []);
}

const program = createProgram({} as Terminal, { version: '0' } as CliDeps, () => undefined);

/** The error of a command line, if any: an unknown command or option, or too many words. */
function wrongIn(words: readonly string[]): string | undefined {
  const rest = [...words];
  let command: CliCommand = program;
  const below = () => command.commands.find((c) => c.name() === rest[0]) as CliCommand | undefined;
  for (let next = below(); next; next = below()) {
    command = next;
    rest.shift();
  }
  if (command === program && rest.some((word) => !word.startsWith('-'))) return `no command \`${rest[0]}\``;
  let count = 0;
  for (let i = 0; i < rest.length; i++) {
    const [name = '', value] = (rest[i] ?? '').split('=', 2);
    if (name === '-' || !name.startsWith('-')) {
      count += 1;
      continue;
    }
    if (['--help', '-h'].includes(name)) continue;
    const option = [...command.options, ...(command.parent?.options ?? []), ...program.options].find(
      (o) => o.long === name || o.short === name,
    );
    if (!option) return `\`${command.name()}\` has no option \`${name}\``;
    if (value === undefined && option.required) i += 1;
    if (value === undefined && option.optional && rest[i + 1] && !rest[i + 1]?.startsWith('-')) i += 1;
    while (option.variadic && rest[i + 1] && !rest[i + 1]?.startsWith('-')) i += 1;
  }
  const takes = command.registeredArguments;
  if (count > takes.length && !takes.at(-1)?.variadic) return `\`${command.name()}\` takes ${takes.length} words`;
  return undefined;
}

test('an invalid command line is detected', () => {
  expect(wrongIn(['stauts'])).toContain('stauts');
  expect(wrongIn(['sync', '--wiat'])).toContain('--wiat');
  expect(wrongIn(['doctor', 'now'])).toContain('takes 0 words');
  expect(wrongIn(['pause', 'service:shop/db', '--for', '2h'])).toBeUndefined();
});

/** Commands in running text, such as `fairlead sync --adopt`; brackets mark optional parts. */
const inline = pages.flatMap((page) =>
  [...readFileSync(path.join(ROOT, page), 'utf8').matchAll(/`fairlead ([^`]+)`/g)].map(([, text = '']) => ({
    at: page,
    words: (text.replaceAll(/[[\]…]|\.\.\./g, '').split(/ -- | \|\| | && | > /)[0] ?? '').match(/\S+/g) ?? [],
  })),
);

test('the program accepts every command line on a page', () => {
  const shown = fences
    .filter(({ language }) => ['sh', 'console'].includes(language))
    .flatMap(({ body, language, at }) => commandLines(body, language).map((words) => ({ at, words })));
  expect(shown.length).toBeGreaterThan(40);
  expect(inline.length).toBeGreaterThan(100);
  const wrong = [...shown, ...inline].flatMap(({ at, words }) => {
    const why = wrongIn(words);
    return why === undefined ? [] : [`${at}: fairlead ${words.join(' ')}: ${why}`];
  });
  expect(wrong).toEqual([]);
});

test('every block of YAML can be read', () => {
  const broken = fences
    .filter(({ language }) => language === 'yaml')
    .flatMap(({ body, at }) => {
      try {
        parse(body);
        return [];
      } catch (error) {
        return [`${at}: ${error}`];
      }
    });
  expect(broken).toEqual([]);
});

/** The files that a page shows, by name; a later block of the same name replaces the earlier one. */
const filesOf = (page: string): Record<string, string> =>
  Object.fromEntries(
    fences
      .filter(({ at, language }) => at.startsWith(`${page}:`) && language === 'yaml')
      .map(({ body }) => [/^# (\S+)\n/.exec(body)?.[1] ?? '', body]),
  );

describe('the repository of the tutorial', () => {
  const files = filesOf('docs/tutorial.md');
  const { 'hosts/edge-1/hours.yaml': mistake = '', ...rest } = files;
  const load = (hours: string) =>
    loadRepo(
      { ...rest, 'hosts/edge-1/hours.yaml': hours, 'hosts/edge-1/web/html/index.html': 'Hello\n' },
      { hostPath: 'hosts/edge-1' },
    );

  test('loads without a warning once its mistake is corrected', async () => {
    const loaded = await load(mistake.replace('contents', 'content'));
    expect(messages(loaded)).toEqual([]);
    const ids = loaded.resources.map(({ id }) => id);
    expect(ids).toEqual(expect.arrayContaining(['file:/etc/motd', 'check:shop-has-limits', 'service:web/web']));
  });

  test('has the mistake that the page shows, at the same place', async () => {
    const [issue] = (await load(mistake)).issues;
    expect(issue).toMatchObject({ file: 'hosts/edge-1/hours.yaml', line: 4, column: 5 });
    expect(issue?.message).toContain('did you mean `content`?');
  });
});

test('the manifests of README.md make a host that loads', async () => {
  const payload = { 'hosts/edge-1/files/shop-sweeper.service': '[Service]\nExecStart=/bin/true\n' };
  const loaded = await loadRepo(
    { ...filesOf('README.md'), ...payload, 'hosts/edge-1/shop/conf/shop.conf': 'x\n' },
    { hostPath: 'hosts/edge-1' },
  );
  expect(messages(loaded)).toEqual([]);
});
