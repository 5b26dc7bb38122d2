/** The daemon's wiring: constructs, connects, starts and stops its parts. */
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isHostName } from '../manifests-schema/agent-config.ts';
import { durationMs } from './config.ts';
import { type AgentApi, createAgentApi } from './control/api.ts';
import { createControlServer } from './control/server.ts';
import type { SyncLine } from './core/progress.ts';
import { staleProblem } from './core/stale.ts';
import { explainBreakdown } from './engine/breakdown.ts';
import { guardDirectory } from './engine/directory.ts';
import { createDrift, type Drift } from './engine/drift.ts';
import { createLoader } from './engine/load.ts';
import { createLoop, type Loop } from './engine/loop.ts';
import { createPushGate } from './engine/push.ts';
import { createRunner } from './engine/runner.ts';
import { splayOffset } from './engine/splay.ts';
import type { EngineDeps } from './engine/types.ts';
import { AgentError } from './errors.ts';
import { createSource } from './git/source.ts';
import { createProviders, createWatchers } from './kinds/index.ts';
import { configFile, type LayoutOptions, loadConfig, openState, rootOf, runDir, stateDir } from './layout.ts';
import { localCheckout } from './repo/local.ts';
import { createReporter, type Reporter } from './report/reporter.ts';
import { loadIdentity, loadKeyedHash } from './secrets/identity.ts';
import { openSecrets } from './secrets/open.ts';
import { createRedactor } from './secrets/redact.ts';
import { createSnapshots } from './store/snapshots.ts';
import { systemClock } from './system/clock.ts';
import { exec } from './system/exec.ts';
import { readFacts, readHostFacts } from './system/facts.ts';
import { createLogger } from './system/logger.ts';
import { createNotifier } from './system/notify.ts';
import { watchBudget } from './system/path-watch.ts';
import { waysOf } from './ways.ts';

export interface DaemonOptions extends LayoutOptions {
  /** One reconcile, then the end. */
  once: boolean;
  version: string;
}

/** How long `--once` waits for a broker that is slow or away; what it could not say, the next start says. */
const FLUSH_MS = 5_000;

/** Runs until a signal comes, or one reconcile. @returns the exit code */
export async function runDaemon(options: DaemonOptions): Promise<number> {
  const startedAt = new Date();
  const asCalledNow = loadConfig(options);
  const redactor = createRedactor();
  const log = createLogger({
    level: 'info',
    journal: process.env.JOURNAL_STREAM !== undefined,
    write: (line) => process.stdout.write(redactor.text(line)),
  });
  const opened = openState(options, log);
  const { store } = opened;
  const root = rootOf(options);
  const state = stateDir(options);
  const frozen = store.meta.get<string>('host');
  const config = frozen === undefined ? asCalledNow : loadConfig(options, frozen);
  const { host } = config;
  if (!isHostName(host)) throw badName(host);
  if (host !== asCalledNow.host)
    log.info(
      { host, machine: asCalledNow.host },
      'the machine has another name now; the host keeps that of its first start',
    );
  else if (frozen !== undefined && host !== frozen)
    log.warn({ host, before: frozen }, 'agent.yaml gives this host another name');
  if (host !== frozen) store.meta.set('host', host);
  const { fleet, labels } = config;

  const machine = {
    root,
    filesOnly: root !== '',
    dockerSocket: config.docker.socket,
    busSocket: '/run/dbus/system_bus_socket',
    clock: systemClock,
  };
  const providers = createProviders({
    ...machine,
    isRoot: process.getuid?.() === 0,
    stagingDir: '/var/lib/fairlead/staging',
    own: [configFile(options).slice(root.length)],
    exec,
    owned: (id) => store.inventory.owned(id),
    redact: redactor.text,
  });
  const identityOfHost = await loadIdentity(state);
  const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
  const sourceOptions = { ...config.repo, gitdir: `${state}/repo.git`, env: process.env, exec, log };
  const bare: EngineDeps = {
    source: createSource(sourceOptions),
    ways: waysOf(sourceOptions, config),
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
    clock: systemClock,
    log,
  };

  const guard = guardDirectory(bare, config.repo.path);
  const deps: EngineDeps = { ...bare, source: guard.source };

  const notifier = createNotifier(process.env, () => Date.now());
  const identity = {
    host,
    fleet,
    labels,
    version: options.version,
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
      ...(reporter?.problems().map((p) => ({ id: 'broker', ...p, file: null, line: null })) ?? []),
      ...staleProblem(desired, staleAfterMs, new Date()),
      ...drift.problems(),
    ],
    loop: () => loop,
    localCheckout: (dir) => localCheckout(dir, config.repo.path),
  });
  const runner = createRunner(deps);
  const drift: Drift = createDrift({
    watchers: createWatchers({ ...machine, maxWatches: watchBudget(), log }),
    managed: runner.managed,
    deliver: (ids) => loop.drifted(ids),
    contended(id, count, message) {
      const data = { resource: id, contended: true, count, message };
      store.outbox.push([{ at: new Date().toISOString(), type: 'drift', run: null, data }]);
      reporter?.changed();
    },
    now: () => performance.now(),
    log,
  });
  const loop: Loop = createLoop({
    run(request) {
      const emit = (line: SyncLine) => {
        request.emit(line);
        if (api.progress(line)) reporter?.changed();
      };
      return runner.run({ ...request, emit }, request.allowPrune ? { ...deps, source: guard.allowing } : deps);
    },
    finished(result) {
      guard.settled();
      drift.finished(result);
      const line = api.finished(result);
      if (result.part?.news === false) return line;
      store.runs.trim(new Date(Date.now() - durationMs(config.history.keep)).toISOString());
      const { id, trigger, sync, changed, failed, durationMs: ms, message } = result.run;
      if (result.part?.recorded !== false)
        log.info({ run: id, trigger, sync, changed, failed, ms }, message || 'run finished');
      for (const p of result.outcome.problems)
        log.warn({ run: id, resource: p.id, reason: p.reason }, `${p.file ? `${p.file}:${p.line}: ` : ''}${p.message}`);
      reporter?.changed();
      return line;
    },
    failed(thrown, trigger) {
      const breakdown = explainBreakdown(thrown, state);
      const stack = breakdown.reason === 'Internal' && thrown instanceof Error ? { error: thrown.stack } : {};
      log.error({ reason: breakdown.reason, ...stack }, breakdown.message);
      const line = api.failed(deps.redact(breakdown), trigger);
      reporter?.changed();
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
      instance: identity.instance,
      ref: config.repo.ref,
      status: () => api.status(),
      resources: () => api.resources().resources,
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
    code = 1;
    await loop.request({}, 'start', (line) => {
      // What is held, or assigned to nobody, is no failure.
      if (line.type === 'done' && ['synced', 'held', 'unassigned'].includes(line.run.sync)) code = 0;
    });
  } else {
    log.info({ version: options.version, host, repo: config.repo.url }, 'fairlead started');
    drift.start();
    loop.start();
    notifier.ready();
    await new Promise<void>((resolve) => {
      for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve());
    });
    notifier.stopping();
  }
  push.stop();
  drift.stop();
  await loop.stop();
  if (options.once) await reporter?.flushed(FLUSH_MS);
  await reporter?.stop();
  await server.stop();
  opened.close();
  return code;
}

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
