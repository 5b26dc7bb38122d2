/** The agent's metrics for the lifetime of the daemon: counters that always run, and code that is loaded at the first request. */
import type { Problem } from '../core/types.ts';
import type { Log } from '../log.ts';
import type { Gathered, GatherOptions } from './prometheus/gather.ts';
import type { Textfile } from './prometheus/textfile.ts';
import { createTally, type Tally } from './tally.ts';

export interface AgentMetricsOptions extends Omit<GatherOptions, 'tally'> {
  log: Log;
  /** Called if the result of `problems` has changed. */
  onProblems(): void;
}

export interface AgentMetrics {
  tally: Tally;
  /** The answer to `GET /metrics`. */
  answer(): Promise<{ type: string; text: string }>;
  /** Something may have happened to the host. */
  changed(): void;
  /** The problem that keeps the file from being written. */
  problems(): readonly Problem[];
  /** Keeps this file from now on, instead of the one before. @param file undefined for none */
  keepFile(file: string | undefined): Promise<void>;
  /** @param how `keep`: the file says what this run found, and stays; otherwise it goes */
  stop(how: { keep: boolean }): void;
}

export function createAgentMetrics(options: AgentMetricsOptions): AgentMetrics {
  const { store, log, root } = options;
  const tally = createTally();
  const unwatch = store.outbox.watch((event) => tally.told(event));
  let kept: string | undefined;
  let textfile: Textfile | null = null;
  let gather: (() => Gathered) | null = null;

  async function gathering(): Promise<() => Gathered> {
    const { createGather } = await import('./prometheus/gather.ts');
    gather ??= createGather({ ...options, tally });
    return gather;
  }

  return {
    tally,
    async answer() {
      const { text } = (await gathering())();
      const { CONTENT_TYPE } = await import('./prometheus/text.ts');
      return { type: CONTENT_TYPE, text };
    },
    changed: () => textfile?.changed(),
    problems: () => textfile?.problems() ?? [],
    async keepFile(file) {
      if (file === kept) return;
      kept = file;
      textfile?.stop();
      textfile = null;
      if (file === undefined) return;
      const [{ createTextfile }, gathered] = await Promise.all([import('./prometheus/textfile.ts'), gathering()]);
      textfile = createTextfile({
        file: root + file,
        gather: gathered,
        log,
        onProblems: options.onProblems,
        every: (ms, act) => cancelling(setInterval(act, ms)),
        after: (ms, act) => cancelling(setTimeout(act, ms)),
      });
      textfile.write();
    },
    stop({ keep }) {
      unwatch();
      if (keep) textfile?.write();
      textfile?.stop({ keep });
      textfile = null;
    },
  };
}

/** The timer keeps no process alive. */
function cancelling(timer: NodeJS.Timeout): () => void {
  timer.unref();
  return () => clearTimeout(timer);
}
