/** The man pages, generated from the program's own definitions and the schema of agent.yaml, in the language of man(7). */
import { z } from 'zod';
import type { CliCommand } from '../agent/cli/building.ts';
import { type CliDeps, EXIT_MEANING, type Terminal } from '../agent/cli/context.ts';
import { createProgram, pathOf, termOf } from '../agent/cli/program.ts';
import { configFile, runDir, stateDir } from '../agent/layout.ts';
import { agentConfig } from '../manifests-schema/agent-config.ts';

/** Text for roff, without requests and escapes. */
const roff = (text: string): string =>
  text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll('’', "'")
    .replace(/^([.'])/gm, '\\&$1');
const head = (name: string, section: number, version: string) =>
  `.TH ${roff(name).toUpperCase()} ${section} "" "fairlead ${version}" "fairlead"`;
const item = (term: string, ...text: readonly string[]) => ['.TP', `.B ${roff(term)}`, ...text.map(roff)];
const example = (lines: readonly string[]) => ['.PP', '.RS 4', '.nf', ...lines.map(roff), '.fi', '.RE'];

/** fairlead(1) */
export function manProgram(version: string): string {
  const program = createProgram({} as Terminal, { version } as CliDeps, () => undefined);
  const commands = program.createHelp().visibleCommands(program) as CliCommand[];
  const groups = Map.groupBy(commands, (c) => c.helpGroup() ?? '');
  return [
    head('fairlead', 1, version),
    '.SH NAME',
    `fairlead \\- ${roff(program.description())}`,
    '.SH SYNOPSIS',
    '.B fairlead',
    '.RI [ options ]',
    '.I command',
    '.RI [ arguments ]',
    '.SH OPTIONS',
    ...options(program),
    '.SH COMMANDS',
    ...[...groups].flatMap(([group, members]) => [
      '.PP',
      `.B ${roff(group)}`,
      ...members.flatMap((command) => (command.commands.length > 0 ? below(command) : section(command))),
    ]),
    '.SH EXIT STATUS',
    ...Object.entries(EXIT_MEANING).flatMap(([code, meaning]) => item(code, meaning)),
    '.SH ENVIRONMENT',
    ...program.options.flatMap((o) => (o.envVar ? item(o.envVar, o.description) : [])),
    ...item('NO_COLOR', 'if set, the output has no colours'),
    '.SH FILES',
    ...item(configFile({}), 'the configuration, agent.yaml(5)'),
    ...item(stateDir({}), 'the state of the host; only root can read it'),
    ...item(`${runDir({})}/agent.sock`, 'the API of the daemon; only root can use it'),
    ...item(`${runDir({})}/status.sock`, 'the read-only part of the API, for the group fairlead'),
    ...item(
      '/usr/share/doc/fairlead/docs',
      'the documentation, such as docs/recovery.md, if fairlead was installed from a package',
    ),
    '.SH SEE ALSO',
    '.BR agent.yaml (5),',
    '.BR systemctl (1),',
    '.BR docker (1)',
    '',
  ].join('\n');
}

const below = (group: CliCommand): string[] =>
  (group.createHelp().visibleCommands(group) as CliCommand[]).filter((c) => c.name() !== 'help').flatMap(section);

function section(command: CliCommand): string[] {
  const args = command.registeredArguments.map(termOf);
  return [
    `.SS ${roff([pathOf(command), ...args].join(' '))}`,
    roff(command.description()),
    ...command.registeredArguments
      .filter(({ description }) => description !== '')
      .flatMap((argument) => item(termOf(argument), argument.description)),
    // `--json` is described once for all commands.
    ...options(command, ['--json']),
    ...(command.examples.length > 0 ? example(command.examples) : []),
    ...Object.entries(command.exits).flatMap(([code, meaning]) => item(`exit ${code}`, meaning)),
  ];
}

const options = (command: CliCommand, without: readonly (string | undefined)[] = []): string[] =>
  command.options
    .filter((o) => !o.hidden && !without.includes(o.long))
    .flatMap((o) => {
      const choices = o.argChoices ? ` (${o.argChoices.join(', ')})` : '';
      const standard =
        o.defaultValue === undefined || typeof o.defaultValue === 'boolean' || String(o.defaultValue) === ''
          ? ''
          : `; default ${o.defaultValue}`;
      return item(o.flags, `${o.description}${choices}${standard}`);
    });

interface Key {
  description?: string;
  default?: unknown;
  enum?: unknown[];
  type?: string;
  properties?: Record<string, Key>;
  additionalProperties?: Key | boolean;
  required?: string[];
}

/** agent.yaml(5) */
export function manConfig(version: string): string {
  const schema = z.toJSONSchema(agentConfig, { io: 'input' }) as Key;
  return [
    head('agent.yaml', 5, version),
    '.SH NAME',
    `agent.yaml \\- ${roff(schema.description ?? '')}`,
    '.SH DESCRIPTION',
    roff('The file is YAML. An unknown key is an error with its line and the nearest valid key.'),
    ...example(CONFIG_EXAMPLE.trimEnd().split('\n')),
    '.SH KEYS',
    ...keys(schema, ''),
    '.SH SEE ALSO',
    '.BR fairlead (1)',
    '',
  ].join('\n');
}

/** Shown in agent.yaml(5). */
export const CONFIG_EXAMPLE = `host: edge-01
labels: {ring: canary}
repo:
  url: git@git.example.com:fleet.git
  auth: {sshKeyFile: /etc/fairlead/ssh_key}
mqtt:
  url: mqtts://broker.example.com:8883
  username: edge-01
  passwordFile: /etc/fairlead/mqtt.password
`;

function keys(schema: Key, prefix: string): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, key]) => {
    const path = `${prefix}${name}`;
    const facts = [
      schema.required?.includes(name) ? 'required' : '',
      key.enum ? `one of ${key.enum.join(', ')}` : '',
      key.default === undefined || typeof key.default === 'object' ? '' : `default ${key.default}`,
    ].filter(Boolean);
    const text = [key.description ?? '', facts.join('; ')].filter(Boolean).join('; ');
    const each = typeof key.additionalProperties === 'object' ? keys(key.additionalProperties, `${path}.NAME.`) : [];
    return [...(key.properties && text === '' ? [] : item(path, text)), ...keys(key, `${path}.`), ...each];
  });
}
