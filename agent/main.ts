/** Composition root: the daemon as its unit starts it, or the command line. */
import { failure } from './cli/failure.ts';

declare const FAIRLEAD_VERSION: string | undefined;
const VERSION = typeof FAIRLEAD_VERSION === 'string' ? FAIRLEAD_VERSION : '0.0.0-source';

// isomorphic-git and mqtt still call url.parse(); that is nothing an operator can mend.
process.noDeprecation = true;

// Whoever reads our output may stop, as `head` does; that is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));

const argv = process.argv.slice(2);
// As the unit starts it there are no options to read, and a daemon would carry the command line for as long as it lives.
const isDaemon = argv.length === 1 && argv[0] === 'agent';
void (isDaemon ? startDaemon() : runCommand()).then((code) => {
  process.exitCode = code;
  // An agent that must end does so even if a library holds a handle; `uninstall` runs one, too.
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
