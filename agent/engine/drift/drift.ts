/** Drift by events: passes the managed resources to the watchers of the kinds, and their hints to the loop. */
import type { Watcher } from '../../core/provider.ts';
import type { Desired, Problem, ResourceId } from '../../core/types.ts';
import { asAgentError } from '../../errors.ts';
import type { Log } from '../../log.ts';
import type { RunResult } from '../run/reconcile.ts';
import { createHints, type Finding } from './hints.ts';

export interface DriftOptions {
  watchers: readonly Watcher[];
  /** The resources that the host is held to now: the same array as long as nothing changed. */
  managed(): Promise<readonly Desired[]>;
  /** Requests a run for these resources. */
  deliver(ids: readonly ResourceId[]): void;
  /** Reports that a resource keeps drifting. */
  contended(id: ResourceId, count: number, message: string): void;
  /** Monotonic, in ms. */
  now(): number;
  log: Log;
}

export interface Drift {
  /** Subscribes; does not wait for a watcher that cannot start yet. */
  start(): void;
  /** Processes the result of a run, and updates the watchers. */
  finished(result: RunResult): void;
  /** Resources that keep drifting, and changes that cannot be watched. */
  problems(): Problem[];
  stop(): void;
}

export function createDrift(options: DriftOptions): Drift {
  const { watchers, log } = options;
  const stopper = new AbortController();
  let managed: readonly Desired[] = [];
  let byId = new Map<ResourceId, Desired>();
  const limits = new Map<Watcher, string>();
  const hints = createHints({
    deliver: options.deliver,
    now: options.now,
    contended({ id, count, waitMs }) {
      const message = `keeps drifting: ${count} repairs in a row; something else changes it, or it keeps failing. The next repair waits ${seconds(waitMs)}, each one after it longer; see \`fairlead history --resource ${id}\``;
      log.warn({ resource: id, count }, message);
      options.contended(id, count, message);
    },
    calmed: (id, count) => log.info({ resource: id, count }, 'no longer drifts'),
  });

  /** Passes the managed resources to the watchers, if they changed; the watchers hint the new ones. */
  async function refresh(): Promise<void> {
    try {
      const now = await options.managed();
      if (now === managed || stopper.signal.aborted) return;
      managed = now;
      byId = new Map(now.map((d) => [d.id, d]));
      hints.keep(byId);
      for (const watcher of watchers) watcher.manage(now);
    } catch (thrown) {
      log.error(
        { error: asAgentError(thrown, { code: 'WatchFailed', phase: 'observe' }).message },
        'cannot watch for drift',
      );
    }
    for (const watcher of watchers) tellLimit(watcher);
  }

  function tellLimit(watcher: Watcher): void {
    const limit = watcher.limit();
    if (limit && limits.get(watcher) !== limit.reason) log.warn({ reason: limit.reason }, limit.message);
    if (limit) limits.set(watcher, limit.reason);
    else limits.delete(watcher);
  }

  const hear = (watcher: Watcher) => (id: ResourceId | '*') => {
    const ids =
      id === '*' ? [...byId.keys()].filter((i) => watcher.kinds.some((kind) => i.startsWith(`${kind}:`))) : [id];
    for (const hinted of ids) if (byId.has(hinted)) hints.hint(hinted);
  };

  return {
    start() {
      for (const watcher of watchers) {
        watcher.start(hear(watcher), stopper.signal).catch((thrown) => {
          const { message } = asAgentError(thrown, { code: 'WatchFailed', phase: 'observe' });
          log.error({ kinds: watcher.kinds.join(', ') }, `cannot watch for drift: ${message}`);
        });
      }
      void refresh();
    },
    finished(result) {
      hints.found(findingsOf(result));
      // Callers that wait for the run are answered first.
      setImmediate(() => void refresh());
    },
    problems() {
      const contended = hints.contentions().map(({ id, count, waitMs }): Problem => {
        const { file = null, line = null } = byId.get(id)?.origin ?? {};
        const message = `drifted ${count} times in a row; repairs of it are backed off, the next one in ${seconds(waitMs)} at the earliest`;
        return { id, reason: 'Contended', message, file, line };
      });
      const unwatched = watchers.flatMap((w): Problem[] => {
        const limit = w.limit();
        return limit ? [{ id: 'watch', reason: limit.reason, message: limit.message, file: null, line: null }] : [];
      });
      return [...contended, ...unwatched];
    },
    stop() {
      stopper.abort();
      hints.stop();
    },
  };
}

/** The findings of a run about the resources that it observed. Pure. */
export function findingsOf({ outcome, part }: Pick<RunResult, 'outcome' | 'part'>): Map<ResourceId, Finding> {
  const findings = new Map<ResourceId, Finding>();
  const waiting = new Set(outcome.resources.filter((r) => r.health === 'progressing').map((r) => r.id));
  const unwell = new Set(outcome.resources.filter((r) => r.health === 'degraded').map((r) => r.id));
  for (const id of waiting) findings.set(id, { outcome: 'still', waiting: true });
  // An unwell resource that nobody repairs is no drift: the Docker engine restarts a container that crashes. If that does not
  // help, fairlead's own restarts show up as actions.
  for (const id of part?.hinted ?? []) findings.set(id, { outcome: 'still', waiting: waiting.has(id) });
  for (const { id, drift, result } of outcome.actions) {
    if (!drift || result === 'held') continue;
    const mended = result === 'done' && !unwell.has(id);
    findings.set(id, { outcome: mended ? 'repaired' : 'failing', waiting: waiting.has(id) });
  }
  return findings;
}

const seconds = (ms: number): string => `${Math.ceil(ms / 1000)} s`;
