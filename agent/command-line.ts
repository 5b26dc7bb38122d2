/** The command line: its terminal, and what it needs of the rest of the program. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import type { BrokerRequest } from './cli/context.ts';
import { runCli } from './cli/index.ts';
import { createControlClient } from './control/client.ts';
import { examine } from './doctor.ts';
import { AgentError } from './errors.ts';
import { readFleet } from './fleet/client.ts';
import { forgetHosts } from './fleet/forget.ts';
import { notify } from './fleet/notify.ts';
import { createProviders, KINDS } from './kinds/index.ts';
import { configFile, type LayoutOptions, loadConfig, readHistory, rootOf, runDir, stateDir } from './layout.ts';
import { loadIdentity } from './secrets/identity.ts';
import { systemClock } from './system/clock.ts';
import { exec } from './system/exec.ts';

/** Of these only what they say of a declaration is asked: no engine, bus or file is touched. */
const offlineKinds = (version: string) => ({
  version,
  kinds: KINDS,
  providers: createProviders({
    isRoot: true,
    root: '',
    filesOnly: false,
    dockerSocket: '',
    busSocket: '',
    stagingDir: '',
    clock: systemClock,
    exec,
    owned: () => false,
  }),
});

const UNIT = 'fairlead.service';

/** systemctl(1) on the agent's own unit. */
async function service(options: LayoutOptions, what: 'start' | 'stop'): Promise<'started' | 'stopped' | 'absent'> {
  if (rootOf(options) !== '' || !existsSync('/run/systemd/system')) return 'absent';
  const { code: missing } = await exec(['systemctl', 'cat', UNIT]);
  if (missing !== 0) return 'absent';
  const [verb, done] = what === 'start' ? (['enable', 'started'] as const) : (['disable', 'stopped'] as const);
  const { code, stderr } = await exec(['systemctl', verb, '--now', UNIT]);
  if (code === 0) return done;
  throw new AgentError({
    code: 'ServiceFailed',
    phase: 'config',
    message: `systemctl ${verb} --now ${UNIT} failed: ${stderr.trim()}; its log: journalctl -u fairlead`,
  });
}

async function askPerson(question: string): Promise<string> {
  const { createInterface } = await import('node:readline/promises');
  const lines = createInterface({ input: process.stdin, output: process.stdout });
  try {
    return await lines.question(question);
  } finally {
    lines.close();
  }
}

/** Of a terminal that does not say how wide it is. */
const USUAL_COLUMNS = 80;

/** Runs one command, in this terminal. @returns the exit code */
export const commandLine = (argv: readonly string[], version: string): Promise<number> =>
  runCli(
    argv,
    {
      stdout: (text) => process.stdout.write(text),
      stderr: (text) => process.stderr.write(text),
      isTTY: process.stdout.isTTY ?? false,
      get columns() {
        // A serial console, or a terminal that a program made, reports a size of 0.
        return process.stdout.isTTY ? process.stdout.columns || USUAL_COLUMNS : Number.POSITIVE_INFINITY;
      },
      env: process.env,
      now: () => new Date(),
      ...(process.stdin.isTTY && process.stdout.isTTY ? { ask: askPerson } : {}),
      interrupted() {
        const left = new AbortController();
        process.once('SIGINT', () => left.abort());
        return left.signal;
      },
    },
    {
      version,
      // Many short-lived objects: fewer and longer pauses to collect them.
      self: [process.execPath, '--max-semi-space-size=64', ...process.execArgv, process.argv[1] ?? ''],
      offlineKinds: () => offlineKinds(version),
      paths: (options) => ({ config: configFile(options), state: stateDir(options) }),
      ownRecipient: async (options) =>
        existsSync(path.join(stateDir(options), 'age.key'))
          ? (await loadIdentity(stateDir(options))).recipient()
          : null,
      examine: (options) => examine({ ...options, version }),
      service: (options, what) => service(options, what),
      runAgent: async (options) => (await import('./daemon.ts')).runDaemon({ ...options, version }),
      client: (options) => createControlClient({ dir: runDir(options) }),
      readHistory: (options, query) => readHistory(options, (runs) => ({ schema: 1, runs: runs.list(query) })),
      readRun: (options, id) =>
        readHistory(options, (runs) => {
          const found = runs.get(id);
          return found && { schema: 1, ...found };
        }),
      async readFleet(options, { hosts, ...request }) {
        const { broker, prefix, fleet } = brokerOf(options, request);
        return readFleet({ broker, prefix, fleet, ...(hosts ? { hosts } : {}) });
      },
      async forgetHosts(options, { hosts, ...request }) {
        const { broker, prefix, fleet } = brokerOf(options, request);
        return forgetHosts({ broker, prefix, fleet, hosts });
      },
      async notify(options, { ref: named, commit, ...request }) {
        const { broker, prefix, fleet, config } = brokerOf(options, request);
        const ref = named ?? config?.repo.ref ?? 'main';
        return { ref, topic: await notify({ broker, prefix, fleet, ref, commit }) };
      },
    },
  );

/** In CI and on an operator's machine there is no agent.yaml, and none is needed where the broker is named. */
function brokerOf(options: LayoutOptions, request: BrokerRequest) {
  const config = request.broker ? null : loadConfig(options);
  const broker = request.broker ? { ...request.broker, namedIn: '--broker' } : config?.mqtt;
  if (!broker)
    throw new AgentError({
      code: 'BrokerUnreachable',
      phase: 'report',
      message: `${configFile(options)} names no broker; add \`mqtt: {url: …}\`, or say --broker`,
    });
  const { prefix = config?.mqtt?.prefix ?? 'fairlead', fleet = config?.fleet ?? 'default' } = request;
  return { broker, prefix, fleet, config };
}
