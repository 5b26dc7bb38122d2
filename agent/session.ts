/** All that hangs on agent.yaml: made from one reading of it, and made anew from the next. */
import { hash } from 'node:crypto';
import { durationMs } from '../manifests-schema/duration.ts';
import type { StatusDocument } from '../manifests-schema/payloads.ts';
import { reasonOf } from '../manifests-schema/reasons.ts';
import { createClockWatch } from './clock-watch.ts';
import { type AgentConfig, sizeBytes } from './config.ts';
import { endpointsOf } from './connectivity-probes.ts';
import { type AgentApi, createAgentApi } from './control/api.ts';
import { createKept } from './control/overwritten.ts';
import type { SyncLine } from './core/progress.ts';
import { staleProblem } from './core/stale.ts';
import type { Identity } from './core/status.ts';
import type { Problem, RunRecord } from './core/types.ts';
import { createDrift, type Drift } from './engine/drift/drift.ts';
import { askDirectories, createLoader } from './engine/load/load.ts';
import { explainBreakdown } from './engine/run/breakdown.ts';
import { checkEvents } from './engine/run/check-events.ts';
import { guardDirectory } from './engine/run/directory.ts';
import { createAside } from './engine/steps/aside.ts';
import { createBackoff } from './engine/steps/backoff.ts';
import type { EngineDeps } from './engine/types.ts';
import { createLoop, type Loop } from './engine/when/loop.ts';
import { createPushGate } from './engine/when/push.ts';
import { createTending } from './engine/when/retention-loop.ts';
import { createRunner } from './engine/when/runner.ts';
import { createSigns } from './engine/when/signs.ts';
import { splayOffset } from './engine/when/splay.ts';
import { createSource } from './git/source.ts';
import { createInspections, createProviders, createWatchers, DRIFT_DIR, hostWasDown, KINDS } from './kinds/index.ts';
import { programDir } from './layout.ts';
import type { LocalVars } from './local-vars.ts';
import type { Log } from './log.ts';
import { localCheckout } from './repo/local.ts';
import type { Identity as HostIdentity } from './secrets/identity.ts';
import { openSecrets } from './secrets/open.ts';
import type { Redactor } from './secrets/redact.ts';
import { isDamage, type Store } from './store/db.ts';
import { createSnapshots } from './store/snapshots.ts';
import { createSwitchOver } from './switch-over.ts';
import { endsWithin, systemClock } from './system/clock.ts';
import { descriptorLimit, descriptors } from './system/descriptors.ts';
import { createCredentials } from './system/docker/registry-credentials.ts';
import { exec } from './system/exec.ts';
import { readHostFacts } from './system/facts.ts';
import { collector, createHeap, heapBytes } from './system/heap.ts';
import { networkSigns } from './system/network-signs.ts';
import { processStart } from './system/process-start.ts';
import { socketSince } from './system/sockets.ts';
import { watchBudget } from './system/watch/path-watch.ts';
import { unpackingApart } from './unpacking-apart.ts';
import { createUpgrader } from './upgrade/upgrader.ts';

/** How often signs that a cause has ended are looked for, while something is backed off. */
const LOOK_MS = 2_000;

export interface SessionOptions {
  config: AgentConfig;
  /** Where agent.yaml lies: out of reach of what is managed. */
  configFile: string;
  /** systemd runs this process for good, and so would run another version of it. */
  supervised?: boolean;
  /** Whatever the repository says, nothing is to be managed here any more. */
  leaving?: boolean;
  identity: Identity;
  localVars: LocalVars;
  facts: StatusDocument['facts'];
  /** '' for this machine, or the directory that stands for `/`. */
  root: string;
  stateDir: string;
  store: Store;
  secrets: HostIdentity;
  keyedHash(bytes: Uint8Array): string;
  redactor: Redactor;
  log: Log;
  /** What is wrong besides what runs find out, e.g. with the broker. */
  problems(): readonly Problem[];
  /** Status, resources or events are new. */
  changed(): void;
  /** The database broke while it was in use: only a fresh start gets over that. */
  damaged(): void;
  /** The loop has turned. */
  turned(): void;
}

export interface Session {
  readonly api: AgentApi;
  /** A run is at work. */
  busy(): boolean;
  /** A push notice came. */
  notice(payload: string): void;
  /** Watches, keeps the schedule, and begins with a run. */
  start(): void;
  /** One run, and no more. @returns its record; null where it could not be written */
  once(): Promise<RunRecord | null>;
  /** No new run; resolves when the one under way has ended. */
  stop(): Promise<void>;
}

export function createSession(options: SessionOptions): Session {
  const { config, identity, root, stateDir, store, redactor, log, localVars } = options;
  const { host, fleet, labels } = config;
  const { registries } = config.docker;
  const splayMs = durationMs(config.sync.splay);
  const machine = {
    root,
    filesOnly: root !== '',
    dockerSocket: config.docker.socket,
    busSocket: '/run/dbus/system_bus_socket',
    clock: systemClock,
    inspections: createInspections(systemClock.monotonic, Date.now, whileAway(store, config.docker.socket)),
  };
  const providers = createProviders({
    ...machine,
    isRoot: process.getuid?.() === 0,
    stagingDir: '/var/lib/fairlead/staging',
    own: [options.configFile.slice(root.length)],
    exec,
    owned: (id) => store.inventory.owned(id),
    images: { registries, records: store.images, secret: redactor.add },
    records: store.records,
    redact: redactor.text,
    found: redactor.addSeen,
  });
  const { verify, ...repo } = config.repo;
  const sourceOptions = {
    ...repo,
    gitdir: `${stateDir}/repo.git`,
    env: process.env,
    exec,
    log,
    ...(verify ? { verify: { ...verify, namedIn: options.configFile } } : {}),
  };
  const unpacking = unpackingApart(log);
  const source = createSource({
    ...sourceOptions,
    unpacking,
    received: () => loop.received(),
    accepted: () => store.commits.get().accepted,
  });
  const clockWatch = createClockWatch({
    store,
    log,
    doubted: () => retention.doubt(),
    changed: options.changed,
  });
  const upgrade =
    options.supervised === true && root === ''
      ? createUpgrader({
          version: identity.version,
          programDir: programDir(),
          stateDir,
          repo: config.repo,
          env: process.env,
          exec,
          log,
        })
      : null;
  const backoff = createBackoff({ clock: systemClock, random: Math.random });
  const bare: EngineDeps = {
    source,
    endpoints: endpointsOf(sourceOptions, config),
    load: (options.leaving ? leaving : asDeclared)(
      createLoader({
        version: identity.version,
        host,
        fleet,
        labels,
        facts: readHostFacts(),
        treeRoot: '/var/lib/fairlead/tree',
        sha256: (bytes) => hash('sha256', bytes),
        keyedHash: options.keyedHash,
        decrypt(files, dirs, commit) {
          // A directory that is no commit: nothing says when it is used no more.
          if (commit === '') return openSecrets(files, dirs, options.secrets.secretKey, redactor.add);
          redactor.addFor(commit, []);
          return openSecrets(files, dirs, options.secrets.secretKey, (secret) => redactor.addFor(commit, [secret]));
        },
        found(credentials, commit) {
          if (commit === '') for (const one of credentials) redactor.add(one);
          else redactor.addFor(commit, credentials);
        },
        logins: createCredentials({ registries, home: '/root', root, exec, secret: redactor.add }).config,
        localVars: localVars.current,
        directories: () => askDirectories(providers),
        kinds: KINDS,
        providers,
      }),
    ),
    localVars: localVars.current,
    redact: redactor.deep,
    kinds: KINDS,
    providers,
    store,
    stateDir,
    snapshots: createSnapshots(`${stateDir}/accepted`),
    clock: systemClock,
    clockDoubt: clockWatch.confirm,
    log,
    aside: createAside(() => void loop.request({}, 'retry')),
    backoff,
    ...(upgrade === null ? {} : { upgrade }),
    isAlive: ({ pid, start }) => processStart(pid) === start,
  };
  const guard = guardDirectory(bare, config.repo.path);
  const deps: EngineDeps = { ...bare, source: guard.source };
  const staleAfterMs = config.repo.staleAfter ? durationMs(config.repo.staleAfter) : null;

  const api: AgentApi = createAgentApi({
    deps,
    identity,
    facts: options.facts,
    problems: (desired) => [
      ...options.problems(),
      ...localVars.problems(),
      ...diskProblem(store),
      ...descriptorProblem(),
      ...staleProblem(desired, staleAfterMs, new Date()),
      ...clockWatch.problems(),
      ...drift.problems(),
    ],
    loop: () => loop,
    refresh: localVars.look,
    localCheckout: (dir, options) => localCheckout(dir, config.repo.path, options),
    kept: createKept(`${root}${DRIFT_DIR}`),
  });
  const runner = createRunner(deps);
  const drift: Drift = createDrift({
    watchers: createWatchers({ ...machine, providers, maxWatches: watchBudget(), log }),
    managed: runner.managed,
    deliver(ids) {
      signs.touched(ids);
      loop.drifted(ids);
    },
    contended(id, count, message) {
      const data = { resource: id, contended: true, count, message };
      store.outbox.push([{ at: new Date().toISOString(), type: 'drift', run: null, data }]);
      options.changed();
    },
    now: () => performance.now(),
    log,
  });
  const loop: Loop = createLoop({
    async run(request) {
      // Between two full runs all goes by the same values.
      if (request.hinted === null) await localVars.look();
      const emit = (line: SyncLine) => {
        request.emit(line);
        if (api.progress(line)) options.changed();
      };
      return runner.run({ ...request, emit }, request.allowPrune ? { ...deps, source: guard.allowing } : deps);
    },
    finished(result) {
      guard.settled();
      void source.settled();
      drift.finished(result);
      const turned = checkEvents(KINDS, store, result.outcome, new Date().toISOString());
      store.outbox.push(turned.events, turned.facts);
      const line = api.finished(result);
      heap.rest();
      if (result.part?.news === false) return line;
      clockWatch.look();
      retention.tend();
      const { id, trigger, sync, changed, failed, durationMs: ms, message } = result.run;
      // What is the matter with the whole run is said once.
      const { problems } = result.outcome;
      const matter = problems.find((p) => p.message === message);
      const said = { run: id, trigger, sync, changed, failed, ms };
      if (matter) log.warn({ ...said, reason: matter.reason }, message);
      else if (result.part?.recorded !== false) log.info(said, message || 'run finished');
      for (const p of problems.filter((problem) => problem !== matter))
        log.warn({ run: id, resource: p.id, reason: p.reason }, `${p.file ? `${p.file}:${p.line}: ` : ''}${p.message}`);
      redactor.retain(store.commits.needed());
      options.changed();
      unpacking?.prepare();
      if (result.outcome.gate?.kind === 'upgrade') switchOver.ordered();
      return line;
    },
    failed(thrown, trigger) {
      const breakdown = explainBreakdown(thrown, stateDir);
      const stack = breakdown.reason === 'Internal' && thrown instanceof Error ? { error: thrown.stack } : {};
      log.error({ reason: breakdown.reason, ...stack }, breakdown.message);
      const said = deps.redact(breakdown);
      try {
        store.runs.breakOff(said.reason, said.message);
      } catch {
        // The next start says that the run was interrupted.
      }
      const line = api.failed(said, trigger);
      options.changed();
      if (isDamage(thrown)) options.damaged();
      return line;
    },
    turned: options.turned,
    jumped: (ms) => {
      retention.doubt();
      log.warn({ seconds: Math.round(ms / 1_000) }, jumpMessage(ms));
      clockWatch.look();
      // What failed may have failed by the old date, such as a certificate that was not valid yet.
      const isFreed = backoff.hint((_id, code) => reasonOf(code).fault === 'wait');
      if (isFreed || api.status().problems.length > 0) void loop.request({}, 'retry');
    },
    clock: systemClock,
    schedule: config.sync.schedule,
    splayMs,
    host,
    random: Math.random,
    dueMs: () => backoff.dueMs(),
    log,
  });
  const signs = createSigns({
    backoff,
    look: networkSigns,
    ended: () => void loop.request({}, 'retry'),
    isBusy: () => loop.running(),
  });
  let looking: NodeJS.Timeout | null = null;
  const retention = createTending({
    store,
    keepMs: durationMs(config.history.keep),
    maxBytes: sizeBytes(config.history.maxSize),
    clock: systemClock,
  });
  const heap = createHeap({ collect: collector(), bytes: heapBytes, busy: () => loop.running() });
  const push = createPushGate({
    offsetMs: splayOffset(host, splayMs),
    known: (commit) => commit === api.status().desired?.commit,
    sync: () => {
      // There is something to be unpacked, most likely: by the time that it comes, who does that is ready.
      unpacking?.begin();
      return loop.request({}, 'push');
    },
  });

  const switchOver = createSwitchOver({ upgrade, loop, log });

  return {
    api,
    busy: () => loop.running(),
    notice: (payload) => push.notice(payload),
    start() {
      clockWatch.look();
      drift.start();
      switchOver.start();
      loop.start();
      looking = setInterval(() => signs.look(), LOOK_MS);
      looking.unref();
    },
    async once() {
      let ended: RunRecord | null = null;
      const leaves = { force: true, allowPrune: true };
      await loop.request(options.leaving ? leaves : {}, options.leaving ? 'manual' : 'start', (line) => {
        if (line.type === 'done') ended = line.run;
      });
      return ended;
    },
    async stop() {
      store.facts.set({ leftMs: Date.now() });
      switchOver.stop();
      if (looking) clearInterval(looking);
      push.stop();
      drift.stop();
      await loop.stop();
      retention.stop();
      heap.stop();
      // What was fetched and is not written yet costs another download; whoever waits for another session must not wait for it.
      await endsWithin(SETTLED_MS, source.settled());
      await unpacking?.stop();
    },
  };
}

type Load = EngineDeps['load'];
const asDeclared = (load: Load): Load => load;
/** As if host.yaml said `decommission: true`. */
const leaving =
  (load: Load): Load =>
  async (checkout) => {
    const loaded = await load(checkout);
    return { ...loaded, host: { ...loaded.host, decommission: true } };
  };

const SETTLED_MS = 5_000;

/** When the host was down, if it was since the agent was stopped. */
const whileAway = (store: Store, socket: string) => hostWasDown(store.facts.get('leftMs'), socketSince(socket));

const diskProblem = (store: Store): Problem[] => {
  const message = store.trouble();
  return message === null ? [] : [{ id: 'state', reason: 'StateUnwritable', message, file: null, line: null }];
};

const descriptorProblem = (): Problem[] => {
  const limit = descriptorLimit(descriptors());
  return limit === null ? [] : [{ id: 'agent', ...limit, file: null, line: null }];
};

const jumpMessage = (ms: number): string =>
  ms > 0
    ? 'the clock was set forward, or the machine slept; the schedule goes by the new time'
    : 'the clock was set back; the schedule goes by the new time';
