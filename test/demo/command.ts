/** The real command line on this machine, as an operator types it, without any other configuration. */
import { type ChildProcess, spawn } from 'node:child_process';
import path from 'node:path';

export const MAIN = path.join(import.meta.dirname, '../../dist/fairlead.cjs');

/** Without the contexts and brokers of the person who runs the demo. */
function environment(): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith('FAIRLEAD_'));
  return { ...Object.fromEntries(own), XDG_CONFIG_HOME: path.join(import.meta.dirname, 'no-contexts') };
}

/** Shows the command and its output. @returns the process */
export function begin(args: readonly string[], stdout: 'inherit' | 'pipe' = 'inherit'): ChildProcess {
  console.log(`\u001b[36m$\u001b[0m fairlead ${args.join(' ')}`);
  return spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', stdout, 'inherit'], env: environment() });
}

export const ended = (child: ChildProcess): Promise<void> =>
  new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve();
    else child.once('close', () => resolve());
  });

/** Ends a command that runs until it is interrupted. */
export async function leave(child: ChildProcess): Promise<void> {
  const over = ended(child);
  child.kill('SIGINT');
  await over;
}
