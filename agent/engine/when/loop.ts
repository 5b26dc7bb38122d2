/** When to reconcile: one run at a time; causes are merged, failures are retried with back-off. */
import type { SyncLine, SyncRequest } from '../../core/progress.ts';
import type { CommandOrigin, ResourceId, Trigger } from '../../core/types.ts';
import type { Log } from '../../log.ts';
import type { Clock } from '../../system/clock.ts';
import type { RunResult } from '../run/reconcile.ts';
import type { RunRequest } from '../types.ts';
import { createSchedule } from './schedule.ts';
import { splayOffset } from './splay.ts';
import { createWatchdog, type WatchedRun } from './watchdog.ts';

export interface LoopOptions {
  run(request: RunRequest): Promise<RunResult>;
  /** Called after each run, before its callers are answered. Returns the last line of their feed. */
  finished(result: RunResult): SyncLine;
  /** Called after a run that threw: a bug, or a store that cannot be written. Returns the last line as well. */
  failed(thrown: unknown, trigger: Trigger): SyncLine;
  /** Called at every turn of the loop: feeds the watchdog. */
  turned(): void;
  /** The date was set, or the machine slept, by `ms`. */
  jumped(ms: number): void;
  /** Time until a failure may be retried, in ms; null if nothing waits. */
  dueMs?(): number | null;
  clock: Pick<Clock, 'now' | 'monotonic'>;
  schedule: string;
  splayMs: number;
  /** Determines the host's stable offset within the splay. */
  host: string;
  random(): number;
  log: Log;
}

/** The options of a run, and the command that asked for it, if there was one. */
export interface LoopRequest extends SyncRequest {
  command?: CommandOrigin;
}

export interface Loop {
  start(): void;
  /** Resolves when a run that began after this call has ended. */
  request(request: LoopRequest, trigger: Trigger, line?: (line: SyncLine) => void): Promise<void>;
  /** Requests a run for these resources, which may have drifted; a full run that is due anyway covers them. */
  drifted(ids: readonly ResourceId[]): void;
  /** When the next scheduled run is due, ISO 8601. */
  next(): string | null;
  running(): boolean;
  /** No run starts until this resolves, or the loop is stopped. */
  hold(until: Promise<void>): void;
  /** A part of the repository was received, or a signature in it was checked: a sign of life of the run that fetches it. */
  received(): void;
  /** Starts no new run; stops the current one and waits for it. */
  stop(): Promise<void>;
}

interface Pending {
  trigger: Trigger;
  request: LoopRequest;
  /** null as soon as one cause asks for a full run. */
  hinted: Set<ResourceId> | null;
  lines: ((line: SyncLine) => void)[];
  done: (() => void)[];
}

const FIRST_RETRY_MS = 5_000;
const LAST_RETRY_MS = 300_000;
/** A timer may fire a little early. */
const DUE_SLACK_MS = 20;
const TURN_MS = 10_000;
/** Triggers that do not wait for an earlier change to settle. */
const URGENT: readonly Trigger[] = ['manual', 'push'];

export function createLoop(options: LoopOptions): Loop {
  const stopper = new AbortController();
  let pending: Pending | null = null;
  let current: Promise<void> | null = null;
  /** At most one retry waits; nothing else holds its timer. */
  let retry: NodeJS.Timeout | undefined;
  let failures = 0;
  let lastCommit: string | undefined;
  /** A full run has ended, so repairs know what to follow. */
  let hasRun = false;
  let waiting = false;
  let side: Promise<void> | null = null;
  /** No run starts before this resolves. */
  let held: Promise<void> | null = null;
  const watchdog = createWatchdog(options.clock);
  let full: WatchedRun | null = null;
  /** The listeners of the current full run. */
  let hearing: Pending['lines'] | null = null;

  const cancelRetry = () => {
    clearTimeout(retry);
    retry = undefined;
  };

  const enqueue = (
    request: LoopRequest,
    trigger: Trigger,
    line?: (line: SyncLine) => void,
    hinted?: readonly ResourceId[],
  ): Promise<void> => {
    if (stopper.signal.aborted) return Promise.resolve();
    const merged: Pending = pending ?? { trigger, request: {}, hinted: new Set(), lines: [], done: [] };
    if (merged.trigger === 'drift') merged.trigger = trigger;
    if (hinted === undefined) merged.hinted = null;
    for (const id of hinted ?? []) merged.hinted?.add(id);
    merged.request = { ...merged.request, ...Object.fromEntries(Object.entries(request).filter(([, on]) => on)) };
    if (trigger === 'manual') merged.trigger = 'manual';
    if (line) merged.lines.push(line);
    // Until its own run starts, a caller sees the progress of the run that it waits for.
    if (line) hearing?.push((heard) => heard.type !== 'done' && line(heard));
    pending = merged;
    const finished = new Promise<void>((resolve) => merged.done.push(resolve));
    alongside();
    current ??= drain().finally(() => {
      current = null;
    });
    return finished;
  };

  const feed = () => {
    if (watchdog.mayBeFed(schedule.next())) options.turned();
  };

  async function drain(): Promise<void> {
    while (pending !== null && !stopper.signal.aborted) {
      if (held !== null) {
        await held;
        continue;
      }
      const job: Pending = pending;
      pending = null;
      if (job.hinted === null) cancelRetry();
      await execute(job, yielding);
    }
  }

  async function execute(
    { trigger, request, hinted, lines, done }: Pending,
    wait: RunRequest['yielding'],
  ): Promise<void> {
    const watched = watchdog.begin(hinted === null ? 'fetch' : 'apply');
    if (hinted === null) full = watched;
    if (hinted === null) hearing = lines;
    const emit = (line: SyncLine) => {
      watched.heard(line);
      for (const tell of lines) tell(line);
    };
    let failed = true;
    try {
      const result = await options.run({
        trigger,
        allowPrune: request.allowPrune ?? false,
        adopt: request.adopt ?? false,
        allowRewind: request.allowRewind ?? false,
        allowEmpty: request.allowEmpty ?? false,
        force: request.force ?? false,
        ...(request.command ? { command: request.command } : {}),
        hinted,
        superseded: () => pending !== null && URGENT.includes(pending.trigger),
        hasNext: () => pending !== null && pending.hinted === null,
        yielding: wait,
        signal: stopper.signal,
        emit,
      });
      emit(options.finished(result));
      const commit = result.run.commit?.commit;
      // Another commit starts a new count; retrying does not help a commit that is itself at fault.
      if (hinted === null && commit !== lastCommit) failures = 0;
      if (hinted === null) lastCommit = commit;
      hasRun ||= hinted === null;
      failed = !result.outcome.rejected && (result.run.sync === 'failed' || result.outcome.problems.length > 0);
    } catch (thrown) {
      tellOfFailure(thrown, trigger, emit);
    }
    watched.ended();
    if (full === watched) full = null;
    if (hearing === lines) hearing = null;
    // A repair neither delays a retry that is due, nor lengthens the next pause.
    if (hinted === null || (failed && retry === undefined && wait === yielding)) again(failed);
    feed();
    for (const resolve of done) resolve();
  }

  /** Runs repairs that are requested while the current run only waits. */
  function alongside(): void {
    if (!waiting || !hasRun || side !== null || pending === null || pending.hinted === null) return;
    const job: Pending = pending;
    pending = null;
    side = execute(job, (wait) => wait).finally(() => {
      side = null;
      alongside();
    });
  }

  async function yielding<T>(wait: Promise<T>): Promise<T> {
    waiting = true;
    alongside();
    try {
      return await wait;
    } finally {
      waiting = false;
      await side;
    }
  }

  function tellOfFailure(thrown: unknown, trigger: Trigger, emit: (line: SyncLine) => void): void {
    try {
      emit(options.failed(thrown, trigger));
    } catch (again) {
      const error = again instanceof Error ? again.stack : String(again);
      options.log.error({ error }, 'a run failed, and its failure could not be reported; the next run tries again');
    }
  }

  /** Back-off with jitter; the first run without a problem resets the count. */
  function again(failed: boolean): void {
    failures = failed ? failures + 1 : 0;
    if (!failed || stopper.signal.aborted) return;
    const ceiling = Math.min(FIRST_RETRY_MS * 2 ** (failures - 1), LAST_RETRY_MS);
    // Failed resources have their own pauses; the run is due when the first of them ends.
    const dueMs = (options.dueMs?.() ?? Number.POSITIVE_INFINITY) + DUE_SLACK_MS;
    cancelRetry();
    retry = setTimeout(
      () => {
        retry = undefined;
        void enqueue({}, 'retry');
      },
      Math.min(dueMs, ceiling * (0.5 + options.random() / 2)),
    );
  }

  const schedule = createSchedule({
    expression: options.schedule,
    offsetMs: splayOffset(options.host, options.splayMs),
    clock: options.clock,
    due: () => void enqueue({}, 'schedule'),
    jumped: options.jumped,
  });

  return {
    start() {
      schedule.start();
      const turn = setInterval(feed, TURN_MS);
      stopper.signal.addEventListener('abort', () => clearInterval(turn), { once: true });
      void enqueue({}, 'start');
    },
    request: (request, trigger, line) => enqueue(request, trigger, line),
    drifted: (ids) => void enqueue({}, 'drift', undefined, ids),
    next: () => schedule.next(),
    running: () => current !== null,
    hold(until) {
      const stopped = new Promise<void>((resolve) => stopper.signal.addEventListener('abort', () => resolve()));
      held = Promise.race([until, stopped]).finally(() => {
        held = null;
      });
    },
    received: () => full?.heard(),
    async stop() {
      stopper.abort();
      schedule.stop();
      cancelRetry();
      for (const resolve of pending?.done ?? []) resolve();
      await current;
    },
  };
}
