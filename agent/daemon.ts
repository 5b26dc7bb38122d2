/** The daemon as a process: its state, its signals, and a session for as long as agent.yaml says the same. */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isHostName } from '../manifests-schema/agent-config.ts';
import type { AgentConfig } from './config.ts';
import type { ControlApi } from './control/protocol.ts';
import { createControlServer } from './control/server.ts';
import type { Problem } from './core/types.ts';
import { AgentError, asAgentError } from './errors.ts';
import { configFile, type LayoutOptions, loadConfig, openState, rootOf, runDir, stateDir } from './layout.ts';
import { type LocalVars, openLocalVars } from './local-vars.ts';
import { createChannel, isSameChannel } from './report/index.ts';
import { createReporter, type Reporter } from './report/reporter.ts';
import { loadIdentity, loadKeyedHash } from './secrets/identity.ts';
import { createRedactor } from './secrets/redact.ts';
import { createSession, type Session } from './session.ts';
import { endsWithin, systemClock } from './system/clock.ts';
import { readFacts } from './system/facts.ts';
import { createLogger } from './system/logger.ts';
import { createNotifier } from './system/systemd/notify.ts';
import { tameJson } from './tame.ts';

export interface DaemonOptions extends LayoutOptions {
  /** One reconcile, then the end. */
  once: boolean;
  /** With `once`: the run and the status as one document on stdout, and the log on stderr. */
  json?: boolean;
  version: string;
  /** With `once`: the host leaves, and what is managed is removed as `decommission: true` removes it. */
  leaving?: boolean;
}

/** How long `--once` waits for a broker that is slow or away; what it could not say, the next start says. */
const FLUSH_MS = 5_000;
/** How long a stop waits for the step under way; the broker and the sockets have what is left of ten seconds. */
const STEP_MS = 7_000;
/** What is held, or assigned to nobody, is no failure. */
const WELL: readonly (string | null | undefined)[] = ['synced', 'held', 'unassigned'];

/** Runs until a signal comes, or one reconcile. @returns the exit code */
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
  const frozen = store.facts.get('host');
  let config = frozen === undefined ? asCalledNow : loadConfig(options, frozen);
  const { host, fleet } = config;
  if (!isHostName(host)) throw badName(host);
  if (host !== asCalledNow.host)
    log.info(
      { host, machine: asCalledNow.host },
      'the machine has another name now; the host keeps that of its first start',
    );
  else if (frozen !== undefined && host !== frozen)
    log.warn({ host, before: frozen }, 'agent.yaml gives this host another name');
  if (host !== frozen) store.facts.set({ host });

  const notifier = createNotifier(process.env, () => performance.now());
  const instance = randomBytes(6).toString('hex');
  const osBefore = store.facts.get('os');
  const { facts, named } = await readFacts(osBefore);
  if (named !== osBefore) store.facts.set({ os: named });
  const secrets = await loadIdentity(state);
  const keyedHash = loadKeyedHash(state);
  let reporter: Reporter | null = null;
  let code = 0;
  const { promise: ended, resolve: end } = Promise.withResolvers<number>();
  /** What was wrong with agent.yaml when it was last read. */
  let refused: Problem | null = null;

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
      problems: () => [...(refused ? [refused] : []), ...(reporter?.problems() ?? [])],
      changed: () => reporter?.changed(),
      damaged: () => end(1),
      turned: () => notifier.alive(),
    });
  const reporterOf = (using: AgentConfig): Reporter | null => {
    const common = { host, fleet, clock: systemClock, log };
    const channel = createChannel(using, { ...common, instance, random: Math.random });
    if (channel === null) return null;
    return createReporter({
      ...common,
      channel,
      outbox: store.outbox,
      status: () => session.api.status(),
      resources: () => session.api.resources().resources,
      busy: () => session.busy(),
      onNotice: (payload) => session.notice(payload),
    });
  };

  let session = sessionOf(config, await openLocalVars(config, configFile(options)));
  let reloading: Promise<void> | null = null;
  /** The session ends, and another one takes its place. */
  let stopping = false;

  /** Takes agent.yaml over as it is now, or keeps to what it was and says why. What is under way ends as at a stop. */
  async function reload(): Promise<void> {
    let next: AgentConfig;
    let localVars: LocalVars;
    try {
      next = loadConfig(options, host);
      if (next.host !== host || next.fleet !== fleet) throw needsRestart(next);
      localVars = await openLocalVars(next, configFile(options));
    } catch (thrown) {
      const { code: reason, message } = asAgentError(thrown, { code: 'InvalidConfig', phase: 'config' });
      refused = { id: 'agent.yaml', reason, message, file: null, line: null };
      log.error({ reason }, `agent.yaml is not taken over, the agent goes on with what it said before: ${message}`);
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
    session.start();
    log.info({ repo: config.repo.url }, 'agent.yaml was read again and taken over');
    reporter?.changed();
  }

  const server = createControlServer({
    api: (): ControlApi => ({
      ...session.api,
      // A run that ends because agent.yaml is taken over is no answer: what comes gives it.
      async sync(request, trigger, line) {
        let answered = false;
        await session.api.sync(request, trigger, (l) => {
          if (l.type === 'done' && stopping) return;
          answered ||= l.type === 'done';
          line(l);
        });
        if (answered) return;
        await reloading;
        await session.api.sync(request, trigger, line);
      },
    }),
    dir: runDir(options),
    statusGid: groupId(),
    log,
  });
  reporter = reporterOf(config);
  await server.start();
  reporter?.start();
  if (options.once) {
    const run = await session.once();
    // What is held was not removed.
    const isWell = options.leaving ? run?.sync === 'synced' : WELL.includes(run?.sync);
    code = isWell ? 0 : 1;
    const document = { schema: 1, type: 'done', run, status: session.api.status() };
    // A run that could not be written has no record.
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
  const finished = await endsWithin(
    STEP_MS,
    Promise.resolve(reloading).then(() => session.stop()),
  );
  if (!finished)
    log.warn({}, 'the step under way did not end in time and is left as it is; the next start goes on with it');
  if (options.once) await reporter?.flushed(FLUSH_MS);
  await reporter?.stop();
  await server.stop();
  // A step that is left may still write.
  if (finished) opened.close();
  return code;
}

const needsRestart = ({ host, fleet }: AgentConfig) =>
  new AgentError({
    code: 'RestartNeeded',
    phase: 'config',
    message: `agent.yaml now names host ${host} in fleet ${fleet}, but a running agent cannot change its name; run \`systemctl restart fairlead\``,
  });

const badName = (name: string) =>
  new AgentError({
    code: 'InvalidConfig',
    phase: 'config',
    message: `this machine is called "${name}", which is no host name by RFC 1123; give the host one with \`host:\` in agent.yaml`,
  });

/** Gid of group `fairlead`, who may read the status; null where there is none, or we are not root. */
function groupId(): number | null {
  if (process.getuid?.() !== 0) return null;
  const line = readFileSync('/etc/group', 'utf8')
    .split('\n')
    .find((l) => l.startsWith('fairlead:'));
  return line ? Number(line.split(':')[2]) : null;
}
