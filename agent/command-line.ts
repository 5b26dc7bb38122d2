/** The command line: its terminal, and its connections to the rest of the program. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { emitKeypressEvents } from 'node:readline';
import type { BrokerRequest, DashboardRequest, FleetRequest } from './cli/context.ts';
import { runCli } from './cli/index.ts';
import { createControlClient } from './control/client.ts';
import { examine } from './doctor.ts';
import { AgentError } from './errors.ts';
import { act } from './fleet/act/act.ts';
import { openLink, randomWord, readFleet } from './fleet/client.ts';
import { chooseBroker } from './fleet/contexts.ts';
import { followForever } from './fleet/follow.ts';
import { forgetHosts } from './fleet/forget.ts';
import { notify } from './fleet/notify.ts';
import { readHost } from './fleet/reader/host.ts';
import { createProviders, KINDS } from './kinds/index.ts';
import { configFile, type LayoutOptions, loadConfig, readHistory, rootOf, runDir, stateDir } from './layout.ts';
import { loadIdentity } from './secrets/identity.ts';
import { readOrCreate } from './store/disk/private-file.ts';
import { systemClock } from './system/clock.ts';
import { exec } from './system/exec.ts';

/** Kinds for reading declarations only: no engine, bus or file is used. */
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

/** Time for a host to accept a command, in ms. A host answers at once, but the broker may be slow. */
const ANSWER_MS = 20_000;
const UNIT = 'fairlead.service';

/** Calls systemctl(1) for the agent's own unit. */
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

/** Width of a terminal that does not report one. */
const USUAL_COLUMNS = 80;
const USUAL_ROWS = 24;

/** Reads keys without Enter and without echo. In this mode Ctrl-C is a key too, and is turned into its signal. */
function hearKeys(onKey: (key: string) => void): () => void {
  const { stdin } = process;
  const heard = (_text: string | undefined, key: { name?: string; ctrl?: boolean }) => {
    if (key.ctrl && key.name === 'c') process.kill(process.pid, 'SIGINT');
    else if (key.name !== undefined) onKey(key.name);
  };
  emitKeypressEvents(stdin);
  stdin.setRawMode(true);
  stdin.on('keypress', heard);
  stdin.resume();
  return () => {
    stdin.off('keypress', heard);
    stdin.setRawMode(false);
    stdin.pause();
  };
}

/** Runs one command, in this terminal. @returns the exit code */
export const commandLine = (argv: readonly string[], version: string): Promise<number> =>
  runCli(
    argv,
    {
      stdout: (text) => process.stdout.write(text),
      stderr: (text) => process.stderr.write(text),
      isTTY: process.stdout.isTTY ?? false,
      get columns() {
        // A serial console, or a pseudo-terminal of a program, may report a size of 0.
        return process.stdout.isTTY ? process.stdout.columns || USUAL_COLUMNS : Number.POSITIVE_INFINITY;
      },
      get rows() {
        return process.stdout.rows || USUAL_ROWS;
      },
      ...(process.stdin.isTTY && process.stdout.isTTY ? { keys: hearKeys } : {}),
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
      // The command line makes many short-lived objects: collect them less often.
      self: [process.execPath, '--max-semi-space-size=64', ...process.execArgv, process.argv[1] ?? ''],
      offlineKinds: () => offlineKinds(version),
      paths: (options) => ({ config: configFile(options), state: stateDir(options) }),
      ownRecipient: async (options) =>
        existsSync(path.join(stateDir(options), 'age.key'))
          ? (await loadIdentity(stateDir(options), readOrCreate)).recipient()
          : null,
      examine: (options) => examine({ ...options, version }),
      service: (options, what) => service(options, what),
      runAgent: async (options) => (await import('./daemon.ts')).runDaemon({ ...options, version }),
      client: (options) => createControlClient({ dir: runDir(options), config: configFile(options) }),
      readHistory: (options, query) => readHistory(options, (runs) => ({ schema: 1, runs: runs.list(query) })),
      readRun: (options, id) =>
        readHistory(options, (runs) => {
          const found = runs.get(id);
          return found && { schema: 1, ...found };
        }),
      async readFleet(options, { hosts, rollCallMs, ...request }) {
        const { broker, prefix, fleet } = await brokerOf(request, options);
        return readFleet({ broker, prefix, fleet, ...namingOf({ hosts, rollCallMs }) });
      },
      async actOnFleet(options, request) {
        const { broker, prefix, fleet } = await brokerOf(request, options);
        const id = `fleet-${randomWord()}`;
        const link = await openLink(broker, 'act');
        return act({ ...request, link, prefix, fleet, id, clock: systemClock, answerMs: ANSWER_MS });
      },
      async followFleet(options, { hosts, rollCallMs, signal, ...request }, listener) {
        const { broker, prefix, fleet } = await brokerOf(request, options);
        await followForever({ broker, prefix, fleet, signal, ...namingOf({ hosts, rollCallMs }) }, listener);
      },
      async readHost(options, { host, ...request }) {
        const { broker, prefix, fleet } = await brokerOf(request, options);
        return readHost({ link: await openLink(broker, 'cli'), prefix, fleet, host, word: randomWord() });
      },
      async forgetHosts(options, { hosts, ...request }) {
        const { broker, prefix, fleet } = await brokerOf(request, options);
        return forgetHosts({ broker, prefix, fleet, hosts });
      },
      relay: async (file, how) => (await import('./relay.ts')).relay(file, how),
      async serveDashboard(options, { listen, names, ...request }) {
        const { servePage } = await import('./fleet/page/server.ts');
        const config = await pageOf(request, options);
        const { url, stop } = await servePage({ dir: PAGE, config, listen, names });
        return { url, stop, websocket: config.broker };
      },
      async writeDashboard(options, { out, ...request }) {
        const { writePage } = await import('./fleet/page/files.ts');
        const config = await pageOf(request, options);
        return { files: writePage({ dir: PAGE, config, out }), websocket: config.broker };
      },
      async notify(options, { ref: named, commit, ...request }) {
        const { broker, prefix, fleet, config } = await brokerOf(request, options);
        const ref = named ?? config?.repo.ref ?? 'main';
        return { ref, topic: await notify({ broker, prefix, fleet, ref, commit }) };
      },
    },
  );

/** Directory of the built page, beside the parts of the program. */
const PAGE = path.join(import.meta.dirname, '../dashboard');

async function pageOf({ context, ...request }: DashboardRequest, options: LayoutOptions) {
  const { choosePage } = await import('./fleet/page/choice.ts');
  const { prefix, fleet } = request;
  const asked = { ...(context ? { context } : {}), ...(prefix ? { prefix } : {}), ...(fleet ? { fleet } : {}) };
  return choosePage({ request, choose: () => brokerOf(asked, options) });
}

const brokerOf = ({ context, broker, prefix, fleet }: BrokerRequest, options: LayoutOptions) =>
  chooseBroker({
    request: {
      ...(broker ? { broker } : {}),
      ...(context ? { context } : {}),
      ...(prefix ? { prefix } : {}),
      ...(fleet ? { fleet } : {}),
    },
    env: process.env,
    config: {
      file: configFile(options),
      isNamed: options.config !== undefined || options.root !== undefined,
      load: () => loadConfig(options),
    },
  });

/** Source of the host names, without unset options. */
const namingOf = (asked: { [Key in 'hosts' | 'rollCallMs']: FleetRequest[Key] | undefined }) => ({
  ...(asked.hosts ? { hosts: asked.hosts } : {}),
  ...(asked.rollCallMs === undefined ? {} : { rollCallMs: asked.rollCallMs }),
});
