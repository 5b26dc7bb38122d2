/** Tools with which each group declares its commands. */
import { Command } from 'commander';
import type { CliDeps, Context, Terminal } from './context.ts';

type Exits = Readonly<Record<number, string>>;

/** A command with the examples and exit codes that its help, man page and completion show. */
export class CliCommand extends Command {
  examples: readonly string[] = [];
  /** Meaning of exit codes that differ from the usual ones. */
  exits: Exits = {};
  /** If a command is missing, one line says so; the full help needs --help. */
  override help(context?: { error: boolean } | ((text: string) => string)): never {
    if (typeof context === 'object' && context.error) this.error('no command was given');
    super.help(typeof context === 'object' ? context : undefined);
  }
  override createCommand(name?: string): CliCommand {
    return new CliCommand(name);
  }
}

export interface Words {
  text: string;
  examples: readonly string[];
  exits?: Exits;
}

/** Arguments of a function that adds a group of commands. */
export interface Build {
  program: CliCommand;
  terminal: Terminal;
  deps: CliDeps;
  /** Adds a command that prints data. @param parent default: the program itself */
  add(name: string, words: Words, parent?: CliCommand): CliCommand;
  /** Adds a noun with commands of its own, such as `secret`. */
  group(name: string, words: Words): CliCommand;
  /** An action that receives the context, then commander's own arguments. */
  act(run: (c: Context, ...args: never[]) => Promise<number>): (this: Command, ...args: unknown[]) => Promise<void>;
  finish(code: number): void;
  /** Words behind the first `--` of the command line: a command of its own, for those that run one. */
  behind: readonly string[];
}
