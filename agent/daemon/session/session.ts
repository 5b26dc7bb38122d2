/**
 * Everything that depends on agent.yaml; created again for each version of it. It connects the loop of runs with its triggers, the
 * watchers of the host, and the reports.
 */
import { durationMs } from '../../../manifests-schema/duration.ts';
import { reasonOf } from '../../../manifests-schema/reasons.ts';
import { sizeBytes } from '../../config.ts';
import { type AgentApi, createAgentApi } from '../../control/api.ts';
import { createKept } from '../../control/overwritten.ts';
import type { SyncLine } from '../../core/progress.ts';
import { staleProblem } from '../../core/reporting/stale.ts';
import type { RunRecord } from '../../core/types.ts';
import { createDrift, type Drift } from '../../engine/drift/drift.ts';
import { guardDirectory } from '../../engine/run/guards/directory.ts';
import { explainBreakdown } from '../../engine/run/records/breakdown.ts';
import { checkEvents } from '../../engine/run/records/check-events.ts';
import { createBackgroundWork } from '../../engine/steps/background.ts';
import { createBackoff } from '../../engine/steps/backoff.ts';
import type { EngineDeps } from '../../engine/types.ts';
import { createLoop, type Loop } from '../../engine/when/loop.ts';
import { createPushGate } from '../../engine/when/push.ts';
import { createTending } from '../../engine/when/retention-loop.ts';
import { createRunner } from '../../engine/when/runner.ts';
import { createSigns } from '../../engine/when/signs.ts';
import { splayOffset } from '../../engine/when/splay.ts';
import { createSource } from '../../git/source.ts';
import { createWatchers, DRIFT_DIR, KINDS } from '../../kinds/index.ts';
import { localCheckout } from '../../repo/local.ts';
import { isDamage } from '../../store/disk/read-errors.ts';
import { endsWithin, systemClock } from '../../system/clock.ts';
import { collector, createHeap, heapBytes } from '../../system/heap.ts';
import { networkSigns } from '../../system/proc/network-signs.ts';
import { watchBudget } from '../../system/watch/path-watch.ts';
import { createClockWatch } from './clock-watch.ts';
import { engineDepsOf, repositoryOf, upgraderOf } from './engine-deps.ts';
import { machineOf, providersOf } from './machine.ts';
import { descriptorProblem, diskProblem } from './own-problems.ts';
import { logJump, logRun } from './run-log.ts';
import type { SessionOptions } from './session-options.ts';
import { createSwitchOver } from './switch-over.ts';
import { unpackingApart } from './unpacking-apart.ts';

/** Interval of the search for signs that a cause has ended, while something is backed off. */
const LOOK_MS = 2_000;
/** Time for which a stop waits until fetched objects are written. */
const SETTLED_MS = 5_000;

export interface Session {
  readonly api: AgentApi;
  /** A run is in progress. */
  busy(): boolean;
  /** Why this host's date is wrong; null if it is not in doubt. */
  clockDoubt(): Promise<string | null>;
  /** Handles a push notice. */
  notice(payload: string): void;
  /** Starts the watchers, the schedule and the first run. */
  start(): void;
  /** Runs once. @returns the record of the run; null if it could not be written */
  once(): Promise<RunRecord | null>;
  /** Starts no further run; resolves when the current one has ended. */
  stop(): Promise<void>;
}

export function createSession(options: SessionOptions): Session {
  const { config, identity, root, stateDir, store, redactor, log, localVars } = options;
  const { host } = config;
  const splayMs = durationMs(config.sync.splay);
  const machine = machineOf(options);
  const providers = providersOf(options, machine);
  const unpacking = unpackingApart(log);
  const source = createSource({
    ...repositoryOf(options),
    unpacking,
    received: () => loop.received(),
    accepted: () => store.commits.get().accepted,
  });
  const clockWatch = createClockWatch({ store, log, doubted: () => retention.doubt(), changed: options.changed });
  const upgrade = upgraderOf(options);
  const backoff = createBackoff({ clock: systemClock, random: Math.random });
  const bare = engineDepsOf(options, {
    source,
    providers,
    upgrade,
    backoff,
    clockDoubt: clockWatch.confirm,
    background: createBackgroundWork(() => void loop.request({}, 'retry')),
  });
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
      // The values stay the same between two full runs.
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
      if (result.part?.recorded !== false) options.tally.ran(result.run, result.part === undefined);
      if (result.part?.news === false) return line;
      clockWatch.look();
      retention.tend();
      logRun(log, result);
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
      if (line.type === 'done' && line.run !== null) options.tally.ran(line.run, false);
      options.changed();
      if (isDamage(thrown)) options.damaged();
      return line;
    },
    turned: options.turned,
    jumped: (ms) => {
      retention.doubt();
      logJump(log, ms);
      clockWatch.look();
      // A failure may have been caused by the old date, such as a certificate that was not valid yet.
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
    broke(thrown) {
      log.error({ error: thrown instanceof Error ? thrown.stack : String(thrown) }, 'old history could not be deleted');
      if (isDamage(thrown)) options.damaged();
    },
  });
  const heap = createHeap({ collect: collector(), bytes: heapBytes, busy: () => loop.running() });
  const push = createPushGate({
    offsetMs: splayOffset(host, splayMs),
    known: (commit) => commit === api.status().desired?.commit,
    sync: () => {
      // A pack will probably arrive: prepare the process that unpacks it.
      unpacking?.begin();
      return loop.request({}, 'push');
    },
  });

  const switchOver = createSwitchOver({ upgrade, loop, log });

  return {
    api,
    busy: () => loop.running(),
    async clockDoubt() {
      const doubt = await clockWatch.confirm();
      return doubt?.isWrong ? doubt.message : null;
    },
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
      // Fetched objects that are not written cost another download, but the next session must not wait for them.
      await endsWithin(SETTLED_MS, source.settled());
      await unpacking?.stop();
    },
  };
}
