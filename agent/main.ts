/** Composition root: starts the daemon or the command line. */
import { failure } from './cli/failure.ts';

declare const FAIRLEAD_VERSION: string | undefined;
const VERSION = typeof FAIRLEAD_VERSION === 'string' ? FAIRLEAD_VERSION : '0.0.0-source';

// isomorphic-git and mqtt still call url.parse(); an operator cannot change that.
process.noDeprecation = true;

// A reader of our output may stop, as `head` does; that is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));

const argv = process.argv.slice(2);
// Started by its unit, the daemon has no options to parse, and must not load the command line.
const isDaemon = argv.length === 1 && argv[0] === 'agent';
void (isDaemon ? startDaemon() : runCommand()).then((code) => {
  process.exitCode = code;
  // The agent exits even if a library holds a handle; `uninstall` runs one, too.
  if (argv.includes('agent') || argv.includes('uninstall')) process.exit(code);
});

async function startDaemon(): Promise<number> {
  const { runDaemon } = await import('./daemon.ts');
  const config = process.env.FAIRLEAD_CONFIG;
  try {
    return await runDaemon({ ...(config ? { config } : {}), once: false, version: VERSION });
  } catch (thrown) {
    return failure(thrown, (text) => process.stderr.write(text));
  }
}

async function runCommand(): Promise<number> {
  const { commandLine } = await import('./command-line.ts');
  return commandLine(argv, VERSION);
}
