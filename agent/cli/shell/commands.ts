/** Declares the commands that serve the shell. */
import { Argument } from 'commander';
import { tame } from '../../tame.ts';
import type { Build } from '../building.ts';
import { type Context, EXIT } from '../context.ts';
import { complete } from './complete.ts';
import { SCRIPTS, type Shell } from './scripts.ts';
import { createValues } from './values.ts';

export function addShellCommands({ program, add, act, deps }: Build): void {
  program.commandsGroup('This program:').helpCommand('help [command]', 'the help of a command');
  add('completion', {
    text: 'print the script that completes commands, options and ids in a shell',
    examples: [
      'fairlead completion bash > /etc/bash_completion.d/fairlead',
      'fairlead completion zsh > /usr/local/share/zsh/site-functions/_fairlead',
      'fairlead completion fish > /etc/fish/completions/fairlead.fish',
    ],
  })
    .addArgument(new Argument('<shell>', 'name of the shell').choices(Object.keys(SCRIPTS)))
    .action(
      act(async (c: Context, shell: Shell) => {
        c.write(SCRIPTS[shell].trimEnd());
        return EXIT.ok;
      }),
    );
  add('version', { text: 'print the version of this program', examples: ['fairlead version'] }).action(
    act(async (c: Context) => {
      c.print({ schema: 1, version: deps.version }, () => `fairlead ${deps.version}`);
      return EXIT.ok;
    }),
  );
  // The scripts call this at every key press, so a failure offers nothing and prints nothing.
  program
    .command('__complete', { hidden: true })
    .argument('[words...]')
    .action(
      act(async (c: Context, words: string[]) => {
        const lines = await complete(program, words, createValues(c.deps, c.options)).catch(() => []);
        // A name with control characters is not offered.
        for (const { value, text } of lines)
          if (tame(value) === value) c.write(text ? `${value}\t${tame(text)}` : value);
        return EXIT.ok;
      }),
    );
}
