/** docs/commands.md, generated from the program's own definitions like the man pages: every command, option and exit code. */

import type { CliCommand } from '../agent/cli/building.ts';
import { type CliDeps, EXIT_MEANING, type Terminal } from '../agent/cli/context.ts';
import { createProgram, pathOf, termOf } from '../agent/cli/program.ts';

const HEAD = `<!-- Written by \`npm run commands\` from the program's own help. -->
# Commands

Every command has \`--help\`; \`man fairlead\` has all of them on one page. \`fairlead completion bash|zsh|fish\` prints a script that completes commands, options,
ids, runs, commits and hosts. [operations.md](operations.md#the-command-line) says which command answers which question.
`;

/** Text in a table: a bar would end the cell, and angles would be markup. */
const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('<', '\\<').replaceAll('\n', ' ');
const table = (rows: readonly (readonly [string, string])[]): string =>
  rows.length === 0 ? '' : `\n| | |\n|---|---|\n${rows.map(([a, b]) => `| ${a} | ${cell(b)} |`).join('\n')}\n`;

/** The whole page. */
export function commandsPage(): string {
  const program = createProgram({} as Terminal, { version: '0' } as CliDeps, () => undefined);
  const shown = (c: CliCommand) =>
    (c.createHelp().visibleCommands(c) as CliCommand[]).filter((x) => x.name() !== 'help');
  const groups = Map.groupBy(shown(program), (c) => c.helpGroup() ?? '');
  const globals = program.options.map((o) => o.long);
  return [
    HEAD,
    '## Options of all commands',
    table(options(program, [])),
    '## Exit codes',
    '\nA command that gives a code another meaning says so below.',
    table(Object.entries(EXIT_MEANING).map(([code, meaning]) => [`\`${code}\``, meaning])),
    ...[...groups].flatMap(([group, commands]) => [
      `## ${group.replace(/:$/, '')}\n`,
      ...commands.flatMap((command) => {
        const inner = shown(command);
        return inner.length > 0 ? inner.map((c) => section(c, globals)) : [section(command, globals)];
      }),
    ]),
  ]
    .join('\n')
    .replace(/\n+$/, '\n');
}

function section(command: CliCommand, globals: readonly (string | undefined)[]): string {
  const words = [pathOf(command), ...command.registeredArguments.map(termOf)].join(' ');
  const exits = Object.entries(command.exits).map(([code, meaning]) => [`exit \`${code}\``, meaning] as const);
  const examples = command.examples.length > 0 ? `\n\`\`\`sh\n${command.examples.join('\n')}\n\`\`\`\n` : '';
  return `### \`${words}\`\n\n${cell(sentence(command.description()))}\n${table([...argumentsOf(command), ...options(command, globals), ...exits])}${examples}`;
}

/** Arguments that the name alone does not explain. */
const argumentsOf = (command: CliCommand): (readonly [string, string])[] =>
  command.registeredArguments
    .filter(({ description }) => description !== '')
    .map((argument) => [`\`${termOf(argument)}\``, argument.description]);

const sentence = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;

const options = (command: CliCommand, without: readonly (string | undefined)[]): (readonly [string, string])[] =>
  command.options
    .filter((o) => !o.hidden && !without.includes(o.long))
    .map((o) => {
      const choices = o.argChoices ? ` (${o.argChoices.join(', ')})` : '';
      const given =
        o.defaultValue !== undefined && typeof o.defaultValue !== 'boolean' && String(o.defaultValue) !== '';
      const environment = o.envVar ? `; also as \`${o.envVar}\`` : '';
      return [
        `\`${o.flags}\``,
        `${o.description}${choices}${given ? `; default ${o.defaultValue}` : ''}${environment}`,
      ];
    });
