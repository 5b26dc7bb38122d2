/** The tree of commands; help, completion and man pages are generated from it. */
import { type Argument, type Command, Option } from 'commander';
import { tameJson, tameLines } from '../tame.ts';
import { type Build, CliCommand, type Words } from './building.ts';
import type { CliDeps, Context, GlobalOptions, Terminal } from './context.ts';
import { addFleetCommands } from './fleet/commands.ts';
import { addHostCommands } from './host/commands.ts';
import { addRepositoryCommands } from './repository/commands.ts';
import { addShellCommands } from './shell/commands.ts';
import { createStyle, plain } from './text/table.ts';

/** On a terminal narrower than this, the terminal breaks lines itself. */
const LEAST_COLUMNS = 40;
/** Lines of help are no longer than this, however wide the terminal is. */
const HELP_COLUMNS = 100;

/** @param finish gets the exit code of the command that ran @param behind words behind `--` */
export function createProgram(
  terminal: Terminal,
  deps: CliDeps,
  finish: (code: number) => void,
  behind: readonly string[] = [],
): CliCommand {
  const program = new CliCommand('fairlead');
  describe(program, {
    text: 'GitOps for hosts without Kubernetes',
    examples: ['fairlead status', 'fairlead plan', 'fairlead sync', 'fairlead show service:shop/web'],
  });
  program
    .exitOverride()
    .configureOutput({
      writeOut: (t) => terminal.stdout(t),
      writeErr: (t) => terminal.stderr(t),
      getOutHelpWidth: () => Math.min(terminal.columns, HELP_COLUMNS),
      getErrHelpWidth: () => Math.min(terminal.columns, HELP_COLUMNS),
    })
    .showSuggestionAfterError(true)
    .addOption(new Option('--config <file>', 'agent.yaml (default /etc/fairlead/agent.yaml)').env('FAIRLEAD_CONFIG'))
    .option('--root <dir>', 'keep state, sockets and managed files below this directory; manages files only')
    .option('--json', 'one JSON document on stdout')
    // Nearly every command has options, so `[options]` at each one would only be noise.
    .configureHelp({
      subcommandTerm: (c) => [c.name(), ...c.registeredArguments.map(termOf)].join(' '),
      minWidthToWrap: LEAST_COLUMNS / 2,
    });

  const build: Build = {
    program,
    terminal,
    deps,
    finish,
    behind,
    add(name, words, parent = program) {
      const command = describe(parent.command(name), words).option('--json', 'one JSON document on stdout');
      return command.configureOutput({ outputError: usageError(command) });
    },
    group(name, words) {
      const command = describe(program.command(name), words).exitOverride();
      return command.configureOutput({ outputError: usageError(command) });
    },
    act: (run) =>
      async function (this: Command, ...args: unknown[]) {
        finish(await run(contextOf(terminal, deps, this), ...(args as never[])));
      },
  };
  program.configureOutput({ outputError: usageError(program) });
  program.version(`fairlead ${deps.version}`, '-V, --version', 'print the version of this program');
  addHostCommands(build);
  addRepositoryCommands(build);
  addFleetCommands(build);
  addShellCommands(build);
  return program;
}

function describe(command: CliCommand, { text, examples, exits = {} }: Words): CliCommand {
  command.examples = examples;
  command.exits = exits;
  const lines = (title: string, items: readonly string[]) =>
    items.length === 0 ? '' : `\n${title}:\n${items.map((item) => `  ${item}\n`).join('')}`;
  const codes = Object.entries(exits).map(([code, meaning]) => `${code.padEnd(3)}  ${meaning}`);
  return command
    .description(text)
    .addHelpText('after', `${lines('Examples', examples)}${lines('Exit codes', codes)}`.trimEnd());
}

/** Rephrases commander's messages in the style of this program. */
const IN_OUR_WORDS: readonly [RegExp, string][] = [
  [/ \(Did you mean (?:one of )?(.*)\?\)$/, '; did you mean $1?'],
  [/^command-argument value '(.*?)' is invalid for argument '(.*?)'\./, '$1 is no $2:'],
  [/^option '(?:-\w, )?(--[\w-]+).*?' argument '(.*?)' is invalid\./, '$1 $2:'],
  [/^option '(?:-\w, )?(--[\w-]+) (.*?)' argument missing$/, '$1 needs its $2'],
  [/^too many arguments for '(.*?)'\. Expected 0 arguments but got \d+: (.*)$/, '$1 takes no argument, got $2'],
  [/^too many arguments for '(.*?)'\. Expected (\d+ arguments?) but got \d+: (.*)$/, '$1 takes $2, got $3'],
  [/: Allowed choices are /, ': it is one of '],
  [/: Give /, ': give '],
  [/\.$/, ''],
];

/** One line with the error, and where to read more. */
const usageError = (command: Command) => (text: string, write: (text: string) => void) => {
  const line = text
    .replace(/^error: /, '')
    .trim()
    .replaceAll(/\s*\n\s*/g, ' ');
  const said = IN_OUR_WORDS.reduce((words, [theirs, ours]) => words.replace(theirs, ours), line);
  write(`fairlead: ${said}; see \`${pathOf(command)} --help\`\n`);
};

/** `<id>`, `[hosts...]` */
export const termOf = (argument: Argument): string => {
  const name = `${argument.name()}${argument.variadic ? '...' : ''}`;
  return argument.required ? `<${name}>` : `[${name}]`;
};

/** `fairlead secret encrypt` */
export const pathOf = (command: Command): string =>
  command.parent ? `${pathOf(command.parent)} ${command.name()}` : command.name();

function contextOf(terminal: Terminal, deps: CliDeps, command: Command): Context {
  const options = command.optsWithGlobals<GlobalOptions>();
  const color = terminal.isTTY && !terminal.env.NO_COLOR && terminal.env.TERM !== 'dumb';
  return {
    deps,
    options,
    client: deps.client(options),
    terminal,
    get columns() {
      return Math.max(LEAST_COLUMNS, terminal.columns);
    },
    style: createStyle(color),
    now: () => terminal.now(),
    print: (document, text) => terminal.stdout(`${options.json ? tameJson(document) : plain(text())}\n`),
    write: (text) => terminal.stdout(`${terminal.isTTY ? tameLines(text) : text}\n`),
    say: (line) => terminal.stdout(`${plain(line)}\n`),
    complain: (line) => terminal.stderr(`fairlead: ${plain(line)}\n`),
  };
}
