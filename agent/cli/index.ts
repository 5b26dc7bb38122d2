/** The command line: words to commands, failures to exit codes. */
import { CommanderError } from 'commander';
import { type CliDeps, EXIT, type Terminal } from './context.ts';
import { failure } from './failure.ts';
import { createProgram } from './program.ts';

export type { CliDeps, Terminal } from './context.ts';

/** Runs one command. @returns the exit code */
export async function runCli(argv: readonly string[], terminal: Terminal, deps: CliDeps): Promise<number> {
  let code: number = EXIT.ok;
  const dashes = argv.indexOf('--');
  const behind = dashes === -1 ? [] : argv.slice(dashes + 1);
  const finish = (result: number) => {
    code = result;
  };
  const program = createProgram(terminal, deps, finish, behind);
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return code;
  } catch (thrown) {
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? EXIT.ok : EXIT.usage;
    return failure(thrown, terminal.stderr);
  }
}
