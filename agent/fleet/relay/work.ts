/** The work of an active relay: it follows the fleet, and passes the rows to its workers. */
import { followRows, type RowsOptions, type RowsWatcher } from './rows.ts';

/** A worker of an active relay. */
export interface Worker extends RowsWatcher {
  start(): void;
  /** From the call on nothing more is sent; resolves when the request in progress has ended. */
  stop(): Promise<void>;
}

/** Runs until `signal` aborts. */
export async function workOnFleet(
  options: RowsOptions,
  workers: readonly Worker[],
  signal: AbortSignal,
): Promise<void> {
  // After the loss of the lease nothing more may be sent.
  let stopped: Promise<unknown> | null = null;
  const stop = () => {
    stopped ??= Promise.all(workers.map((worker) => worker.stop()));
  };
  if (signal.aborted) stop();
  signal.addEventListener('abort', stop, { once: true });
  for (const worker of workers) worker.start();
  try {
    await followRows(options, workers, signal);
  } finally {
    stop();
    await stopped;
  }
}
