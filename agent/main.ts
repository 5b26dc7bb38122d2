/** Composition root: constructs, wires, signals; nothing else. */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { GlobalOptions } from './cli/context.ts';
import { runCli } from './cli/index.ts';
import { type AgentConfig, durationMs, parseConfig } from './config.ts';
import { type AgentApi, createAgentApi } from './control/api.ts';
import { createControlClient } from './control/client.ts';
import { createControlServer } from './control/server.ts';
import { staleProblem } from './core/stale.ts';
import { createLoader } from './engine/load.ts';
import { createLoop, type Loop } from './engine/loop.ts';
import { createPushGate } from './engine/push.ts';
import { reconcile } from './engine/reconcile.ts';
import { splayOffset } from './engine/splay.ts';
import type { EngineDeps } from './engine/types.ts';
import { AgentError } from './errors.ts';
import { readFleet } from './fleet/client.ts';
import { notify } from './fleet/notify.ts';
import { createSource } from './git/source.ts';
import { createProviders } from './kinds/index.ts';
import { silentLog } from './log.ts';
import { localCheckout } from './repo/local.ts';
import { createReporter, type Reporter } from './report/reporter.ts';
import { loadIdentity, loadKeyedHash } from './secrets/identity.ts';
import { openSecrets } from './secrets/open.ts';
import { createRedactor } from './secrets/redact.ts';
import { openStore, type Store } from './store/db.ts';
import { createSnapshots } from './store/snapshots.ts';
import { systemClock } from './system/clock.ts';
import { exec } from './system/exec.ts';
import { readFacts, readHostFacts } from './system/facts.ts';
import { createLogger } from './system/logger.ts';
import { createNotifier } from './system/notify.ts';

declare const FAIRLEAD_VERSION: string | undefined;
const VERSION = typeof FAIRLEAD_VERSION === 'string' ? FAIRLEAD_VERSION : '0.0.0-source';

// isomorphic-git and mqtt still call url.parse(); that is nothing an operator can mend.
process.noDeprecation = true;

const rootOf = (options: GlobalOptions) => (options.root ? path.resolve(options.root) : '');
const configFile = (options: GlobalOptions) => options.config ?? `${rootOf(options)}/etc/fairlead/agent.yaml`;
const stateDir = (options: GlobalOptions) => `${rootOf(options)}/var/lib/fairlead`;
const runDir = (options: GlobalOptions) => `${rootOf(options)}/run/fairlead`;

function loadConfig(options: GlobalOptions): AgentConfig {
  const file = configFile(options);
  try {
    return parseConfig(file, readFileSync(file, 'utf8'), os.hostname());
  } catch (thrown) {
    if (thrown instanceof AgentError) throw thrown;
    const why =
      (thrown as NodeJS.ErrnoException).code === 'ENOENT'
        ? 'there is no such file; docs/install.md shows one'
        : String(thrown);
    throw new AgentError({ code: 'InvalidConfig', phase: 'config', message: `cannot read ${file}: ${why}` });
  }
}

/** The addon that the build put beside the bundle. */
function sqliteAddon(): string | undefined {
  const libc = (process.report.getReport() as { header: { glibcVersionRuntime?: string } }).header.glibcVersionRuntime
    ? 'linux'
    : 'linuxmusl';
  const file = path.join(
    path.dirname(realpathSync(process.argv[1] ?? '.')),
    `better_sqlite3-${libc}-${process.arch}.node`,
  );
  return existsSync(file) ? file : undefined;
}

function open(options: GlobalOptions, log = silentLog): Store {
  return openStore({ dir: stateDir(options), nativeBinding: sqliteAddon(), now: () => new Date(), log });
}

/** For the commands that read the database of an agent that is down: never makes one. */
function reading<T>(options: GlobalOptions, read: (store: Store) => T): T {
  const file = path.join(stateDir(options), 'history.db');
  if (!existsSync(file))
    throw new AgentError({
      code: 'DaemonUnreachable',
      phase: 'report',
      message: `the daemon is not running, and there is no history at ${file}`,
    });
  const store = open(options);
  try {
    return read(store);
  } finally {
    store.close();
  }
}

async function runAgent(options: GlobalOptions & { once: boolean }): Promise<number> {
  const startedAt = new Date();
  const config = loadConfig(options);
  const redactor = createRedactor();
  const log = createLogger({
    level: 'info',
    journal: process.env.JOURNAL_STREAM !== undefined,
    write: (line) => process.stdout.write(redactor.text(line)),
  });
  const store = open(options, log);
  const root = rootOf(options);
  const state = stateDir(options);
  const host = store.meta.get<string>('host') ?? config.host;
  if (store.meta.get('host') === undefined) store.meta.set('host', host);
  if (host !== config.host) log.warn({ host, configured: config.host }, 'this host keeps the name of its first start');
  const { fleet, labels } = config;

  const providers = createProviders({
    isRoot: process.getuid?.() === 0,
    root,
    filesOnly: root !== '',
    dockerSocket: config.docker.socket,
    busSocket: '/run/dbus/system_bus_socket',
    stagingDir: '/var/lib/fairlead/staging',
    own: [configFile(options).slice(root.length)],
    clock: systemClock,
    exec,
    owned: (id) => store.inventory.owned(id),
    redact: redactor.text,
  });
  const identityOfHost = await loadIdentity(state);
  const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
  const deps: EngineDeps = {
    source: createSource({ ...config.repo, gitdir: `${state}/repo.git`, env: process.env, exec, log }),
    load: createLoader({
      host,
      fleet,
      labels,
      facts: readHostFacts(),
      treeRoot: '/var/lib/fairlead/tree',
      sha256,
      keyedHash: loadKeyedHash(state),
      decrypt: (files, dirs) => openSecrets(files, dirs, identityOfHost.secretKey, redactor.add),
      providers,
    }),
    redact: redactor.deep,
    providers,
    store,
    snapshots: createSnapshots(`${state}/accepted`),
    ways: [],
    clock: systemClock,
    log,
  };

  const notifier = createNotifier(process.env, () => Date.now());
  const identity = {
    host,
    fleet,
    labels,
    version: VERSION,
    startedAt: startedAt.toISOString(),
    instance: randomBytes(6).toString('hex'),
  };
  const staleAfterMs = config.repo.staleAfter ? durationMs(config.repo.staleAfter) : null;
  let reporter: Reporter | null = null;
  const api: AgentApi = createAgentApi({
    deps,
    identity,
    facts: await readFacts(),
    problems: (desired) => [
      ...(reporter?.problem()
        ? [{ id: 'broker', reason: 'BrokerUnreachable', message: reporter.problem() ?? '', file: null, line: null }]
        : []),
      ...staleProblem(desired, staleAfterMs, new Date()),
    ],
    loop: () => loop,
    localCheckout: (dir) => localCheckout(dir, config.repo.path),
  });
  const loop: Loop = createLoop({
    run: (request) => reconcile(deps, request),
    finished(result) {
      store.runs.trim(new Date(Date.now() - durationMs(config.history.keep)).toISOString());
      const line = api.finished(result);
      const { run, outcome } = result;
      log.info(
        {
          run: run.id,
          trigger: run.trigger,
          sync: run.sync,
          changed: run.changed,
          failed: run.failed,
          ms: run.durationMs,
        },
        run.message || 'run finished',
      );
      for (const p of outcome.problems)
        log.warn(
          { run: run.id, resource: p.id, reason: p.reason },
          `${p.file ? `${p.file}:${p.line}: ` : ''}${p.message}`,
        );
      reporter?.status(api.status());
      reporter?.resources(api.resources().resources);
      reporter?.wake();
      return line;
    },
    turned: () => notifier.alive(),
    now: () => performance.now(),
    schedule: config.sync.schedule,
    splayMs: durationMs(config.sync.splay),
    host,
    random: Math.random,
    log,
  });
  const push = createPushGate({
    offsetMs: splayOffset(host, durationMs(config.sync.splay)),
    known: (commit) => commit === api.status().desired?.commit,
    sync: () => loop.request({}, 'push'),
  });
  if (config.mqtt) {
    reporter = createReporter({
      broker: config.mqtt,
      prefix: config.mqtt.prefix,
      host,
      fleet,
      ref: config.repo.ref,
      outbox: store.outbox,
      clock: systemClock,
      log,
      random: Math.random,
      onPush: (payload) => push.notice(payload),
    });
  }

  const server = createControlServer({ api, dir: runDir(options), statusGid: groupId(), log });
  await server.start();
  reporter?.start();
  let code = 0;
  if (options.once) {
    await loop.request({}, 'start', (line) => {
      if (line.type === 'done') code = line.run.sync === 'failed' ? 1 : 0;
    });
  } else {
    log.info({ version: VERSION, host, repo: config.repo.url }, 'fairlead started');
    loop.start();
    notifier.ready();
    await new Promise<void>((resolve) => {
      for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve());
    });
    notifier.stopping();
  }
  push.stop();
  await loop.stop();
  await reporter?.stop();
  await server.stop();
  store.close();
  return code;
}

/** Of these only what they say of a declaration is asked: no engine, bus or file is touched. */
const offlineProviders = () =>
  createProviders({
    isRoot: true,
    root: '',
    filesOnly: false,
    dockerSocket: '',
    busSocket: '',
    stagingDir: '',
    clock: systemClock,
    exec,
    owned: () => false,
  });

/** Gid of group `fairlead`, who may read the status; null where there is none, or we are not root. */
function groupId(): number | null {
  if (process.getuid?.() !== 0) return null;
  const line = readFileSync('/etc/group', 'utf8')
    .split('\n')
    .find((l) => l.startsWith('fairlead:'));
  return line ? Number(line.split(':')[2]) : null;
}

finish(
  runCli(
    process.argv.slice(2),
    {
      stdout: (text) => process.stdout.write(text),
      stderr: (text) => process.stderr.write(text),
      isTTY: process.stdout.isTTY ?? false,
      columns: process.stdout.columns ?? 120,
      env: process.env,
      now: () => new Date(),
    },
    {
      version: VERSION,
      // Many short-lived objects: fewer and longer pauses to collect them.
      self: [process.execPath, '--max-semi-space-size=64', ...process.execArgv, process.argv[1] ?? ''],
      offlineProviders,
      ownRecipient: async (options) =>
        existsSync(path.join(stateDir(options), 'age.key'))
          ? (await loadIdentity(stateDir(options))).recipient()
          : null,
      runAgent,
      client: (options) => createControlClient({ dir: runDir(options) }),
      readHistory: (options, query) => reading(options, (store) => ({ schema: 1, runs: store.runs.list(query) })),
      readRun: (options, id) =>
        reading(options, (store) => {
          const found = store.runs.get(id);
          return found && { schema: 1, ...found };
        }),
      readFleet(options) {
        const config = loadConfig(options);
        if (!config.mqtt)
          throw new AgentError({
            code: 'BrokerUnreachable',
            phase: 'report',
            message: `${configFile(options)} names no broker; add \`mqtt: {url: …}\``,
          });
        return readFleet({ broker: config.mqtt, prefix: config.mqtt.prefix, fleet: config.fleet });
      },
      async notify(options, request) {
        // In CI there is no agent.yaml, and none is needed where the broker is named.
        const config = request.broker ? null : loadConfig(options);
        const broker = request.broker ?? config?.mqtt;
        if (!broker)
          throw new AgentError({
            code: 'BrokerUnreachable',
            phase: 'report',
            message: `${configFile(options)} names no broker; add \`mqtt: {url: …}\`, or say --broker`,
          });
        const { prefix = config?.mqtt?.prefix ?? 'fairlead', fleet = config?.fleet ?? 'default' } = request;
        const ref = request.ref ?? config?.repo.ref ?? 'main';
        return { ref, topic: await notify({ broker, prefix, fleet, ref, commit: request.commit }) };
      },
    },
  ),
);

/** An agent that must end does so even if a library holds a handle. */
function finish(running: Promise<number>): void {
  void running.then((exit) => {
    process.exitCode = exit;
    if (process.argv.includes('agent')) process.exit(exit);
  });
}
