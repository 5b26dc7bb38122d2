/** The daemon as a process: its state, its signals, and one session for each version of agent.yaml. */
import { randomBytes } from 'node:crypto';
import type { AgentConfig } from './config.ts';
import type { AgentApi } from './control/api.ts';
import type { ControlApi } from './control/protocol.ts';
import { listedCommands } from './control/remote/lazy.ts';
import { createControlServer } from './control/server.ts';
import type { Problem } from './core/types.ts';
import { configAgain, configAtStart } from './daemon/agent-yaml.ts';
import { endAll } from './daemon/ending.ts';
import { lastingApi } from './daemon/lasting-api.ts';
import { type LocalVars, openLocalVars } from './daemon/local-vars.ts';
import { createPeople } from './daemon/people.ts';
import { createReporting } from './daemon/reporting.ts';
import { createSession, type Session } from './daemon/session/session.ts';
import { statusGroup } from './daemon/status-group.ts';
import { asAgentError } from './errors.ts';
import { configFile, type LayoutOptions, loadConfig, openState, rootOf, runDir, stateDir } from './layout.ts';
import { createAgentMetrics } from './metrics/index.ts';
import { isSameChannel } from './report/index.ts';
import type { Reporter } from './report/reporter.ts';
import { loadIdentity, loadKeyedHash } from './secrets/identity.ts';
import { createRedactor } from './secrets/redact.ts';
import { readOrCreate } from './store/disk/private-file.ts';
import { systemClock } from './system/clock.ts';
import { readFacts } from './system/facts.ts';
import { createLogger } from './system/logger.ts';
import { createNotifier } from './system/systemd/notify.ts';
import { tameJson } from './tame.ts';

export interface DaemonOptions extends LayoutOptions {
  /** Reconcile once, then exit. */
  once: boolean;
  /** With `once`: print the run and the status as one document on stdout, and the log on stderr. */
  json?: boolean;
  version: string;
  /** With `once`: the host leaves the fleet; managed resources are removed as with `decommission: true`. */
  leaving?: boolean;
}

/** Time for which `--once` waits for a slow or unreachable broker; the next start sends the remaining reports. */
const FLUSH_MS = 5_000;
/** Results of a run that are no failure. */
const WELL: readonly (string | null | undefined)[] = ['synced', 'held', 'unassigned'];

/** Runs until a signal, or for one reconcile. @returns the exit code */
export async function runDaemon(options: DaemonOptions): Promise<number> {
  const startedAt = new Date();
  const asCalledNow = loadConfig(options);
  const redactor = createRedactor();
  const log = createLogger({
    level: 'info',
    journal: process.env.JOURNAL_STREAM !== undefined,
    write: (line) =>
      (options.once && (options.json || options.leaving) ? process.stderr : process.stdout).write(redactor.text(line)),
  });
  const opened = openState(options, log);
  const { store } = opened;
  const state = stateDir(options);
  let config = configAtStart({ layout: options, asCalledNow, facts: store.facts, log });
  const { host, fleet } = config;

  const notifier = createNotifier(process.env, () => performance.now());
  const instance = randomBytes(6).toString('hex');
  const osBefore = store.facts.get('os');
  const { facts, named } = await readFacts(osBefore);
  if (named !== osBefore) store.facts.set({ os: named });
  const secrets = await loadIdentity(state, readOrCreate);
  const keyedHash = loadKeyedHash(state, readOrCreate);
  let reporter: Reporter | null = null;
  let code = 0;
  const { promise: ended, resolve: end } = Promise.withResolvers<number>();
  /** Problem of agent.yaml when it was last read. */
  let refused: Problem | null = null;

  const changed = () => {
    reporter?.changed();
    metrics.changed();
    people.changed();
  };
  const metrics = createAgentMetrics({
    status: () => session.api.status(),
    problems: () => session.api.problems(),
    resources: () => session.api.resources().resources,
    isConnected: () => reporter?.isOpen() ?? null,
    onProblems: () => reporter?.changed(),
    ...{ store, startedAt, log, root: rootOf(options) },
  });

  const sessionOf = (using: AgentConfig, localVars: LocalVars): Session =>
    createSession({
      config: using,
      localVars,
      configFile: configFile(options),
      leaving: options.leaving ?? false,
      supervised: !options.once && process.env.NOTIFY_SOCKET !== undefined,
      identity: {
        host,
        fleet,
        labels: using.labels,
        commands: listedCommands(using.mqtt),
        version: options.version,
        startedAt: startedAt.toISOString(),
        instance,
      },
      facts,
      root: rootOf(options),
      stateDir: state,
      store,
      secrets,
      keyedHash,
      redactor,
      log,
      tally: metrics.tally,
      problems: () => [
        ...(refused ? [refused] : []),
        ...metrics.problems(),
        ...(reporter?.problems() ?? []),
        ...people.problems(),
      ],
      changed,
      damaged: () => end(1),
      turned: () => notifier.alive(),
    });
  const api = (): AgentApi =>
    lastingApi({ session: () => session, isStopping: () => stopping, reloaded: () => reloading });
  const reporterOf = createReporting({
    ...{ host, fleet, instance, version: options.version, stateDir: state, store, redactor, log },
    session: () => session,
    api,
    changed: () => reporter?.changed(),
  });
  const people = createPeople({
    ...{ host, fleet, facts: store.facts, env: process.env, clock: systemClock, log },
    status: () => session.api.status(),
    secret: redactor.add,
    random: Math.random,
    problemsChanged: () => reporter?.changed(),
  });
  let session = sessionOf(config, await openLocalVars(config, configFile(options)));
  let reloading: Promise<void> | null = null;
  /** The session ends, and another one replaces it. */
  let stopping = false;

  /** Applies the current agent.yaml, or keeps the former settings and reports why. A run in progress ends as at a stop. */
  async function reload(): Promise<void> {
    let next: AgentConfig;
    let localVars: LocalVars;
    try {
      ({ next, localVars } = await configAgain(options, { host, fleet }));
    } catch (thrown) {
      const { code: reason, message } = asAgentError(thrown, { code: 'InvalidConfig', phase: 'config' });
      refused = { id: 'agent.yaml', reason, message, file: null, line: null };
      log.error({ reason }, `agent.yaml is not applied, the agent keeps its former settings: ${message}`);
      reporter?.changed();
      return;
    }
    refused = null;
    stopping = true;
    await session.stop();
    const isSame = isSameChannel(config, next);
    config = next;
    session = sessionOf(config, localVars);
    stopping = false;
    if (!isSame) {
      await reporter?.stop();
      reporter = reporterOf(config);
      reporter?.start();
    }
    await metrics.keepFile(config.metrics.textfile);
    await people.take(config);
    session.start();
    log.info({ repo: config.repo.url }, 'agent.yaml was read again and taken over');
    reporter?.changed();
  }

  const server = createControlServer({
    api: (): ControlApi => ({ ...api(), metrics: () => metrics.answer() }),
    dir: runDir(options),
    statusGid: statusGroup(),
    log,
  });
  reporter = reporterOf(config);
  await server.start();
  reporter?.start();
  await metrics.keepFile(config.metrics.textfile);
  await people.take(config);
  if (options.once) {
    const run = await session.once();
    // A held resource was not removed.
    const isWell = options.leaving ? run?.sync === 'synced' : WELL.includes(run?.sync);
    code = isWell ? 0 : 1;
    const document = { schema: 1, type: 'done', run, status: session.api.status() };
    // A run whose record could not be written has none.
    if (options.json && !options.leaving && run !== null) process.stdout.write(`${tameJson(document)}\n`);
  } else {
    log.info({ version: options.version, host, repo: config.repo.url }, 'fairlead started');
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => end(0));
    process.on('SIGHUP', () => {
      const before = reloading ?? Promise.resolve();
      reloading = before.then(reload).catch((thrown) => {
        log.error(
          { error: thrown instanceof Error ? thrown.stack : String(thrown) },
          'reading agent.yaml again failed',
        );
      });
    });
    session.start();
    notifier.ready();
    code = await ended;
    notifier.stopping();
  }
  if (options.once) await reporter?.flushed(FLUSH_MS);
  if (options.once) await people.flushed(FLUSH_MS);
  const finished = await endAll(
    {
      session: async () => {
        await reloading;
        await session.stop();
      },
      left: () => metrics.stop({ keep: options.once }),
      others: [async () => reporter?.stop(), () => people.stop(), () => server.stop()],
    },
    systemClock,
    log,
  );
  // An abandoned step may still write.
  if (finished) opened.close();
  return code;
}
