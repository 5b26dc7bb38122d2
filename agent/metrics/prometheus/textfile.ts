/**
 * The agent's metrics as a file for the textfile collector of node_exporter. A flash card that is written each minute wears
 * out, so the file is written when something happened to the host, and every five minutes otherwise.
 */
import { closeSync, constants, fchmodSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import path from 'node:path';
import type { Problem } from '../../core/types.ts';
import type { Log } from '../../log.ts';
import { whyUnread } from '../../reading.ts';
import type { Gathered } from './gather.ts';

export interface TextfileOptions {
  /** Ends in `.prom`, as node_exporter wants it; its directory exists. */
  file: string;
  gather(): Gathered;
  log: Log;
  /** Called if the result of `problems` has changed. */
  onProblems(): void;
  /** Calls `act` after `ms` again and again, until the function that it returns is called. */
  every(ms: number, act: () => void): () => void;
  /** The same, once. */
  after(ms: number, act: () => void): () => void;
}

export interface Textfile {
  /** Something may have changed: the file is written soon, together with further changes. */
  changed(): void;
  /** Writes it now, whatever happened. */
  write(): void;
  problems(): readonly Problem[];
  /** Stops writing. The file is deleted, because its values would stay the same for ever; `keep` leaves it. */
  stop(how?: { keep: boolean }): void;
}

const EVERY_MS = 300_000;
const SOON_MS = 1_000;
/** The file is world-readable for node_exporter: it contains no secret. */
const MODE = 0o644;
const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants;

export function createTextfile(options: TextfileOptions): Textfile {
  const { file, gather, log } = options;
  let steady: string | null = null;
  let trouble: string | null = null;
  let cancelSoon: (() => void) | null = null;
  let isStopped = false;
  const cancelEvery = options.every(EVERY_MS, () => put());

  /** @param onlyNews leaves the file if nothing happened to the host */
  function put({ onlyNews } = { onlyNews: false }): void {
    if (isStopped) return;
    let why: string | null = null;
    try {
      const { text, steady: now } = gather();
      if (onlyNews && now === steady) return;
      replaceFile(file, text);
      steady = now;
    } catch (thrown) {
      why = `cannot write ${file}: ${whyUnread(thrown)}; make its directory, or correct metrics.textfile in agent.yaml`;
    }
    if (why === trouble) return;
    if (why !== null) log.warn({ reason: 'MetricsUnwritable' }, why);
    trouble = why;
    options.onProblems();
  }

  return {
    changed() {
      if (isStopped || cancelSoon !== null) return;
      cancelSoon = options.after(SOON_MS, () => {
        cancelSoon = null;
        put({ onlyNews: true });
      });
    },
    write: () => put(),
    problems: () =>
      trouble === null
        ? []
        : [{ id: 'metrics', reason: 'MetricsUnwritable', message: trouble, file: null, line: null }],
    stop({ keep } = { keep: false }) {
      isStopped = true;
      cancelEvery();
      cancelSoon?.();
      if (!keep) rmSync(file, { force: true });
    },
  };
}

/**
 * At any moment there is the old text or the new one. Debian's directory lies below one of the user `prometheus`, who may put
 * a link in its place; all that this could bring about is a file of this name elsewhere, without a word of that user's in it.
 */
function replaceFile(file: string, text: string): void {
  const temp = path.join(path.dirname(file), `.${path.basename(file)}.tmp`);
  // Removes temporary files of an agent that was killed.
  rmSync(temp, { force: true });
  const fd = openSync(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, MODE);
  try {
    try {
      fchmodSync(fd, MODE);
      writeSync(fd, text);
    } finally {
      closeSync(fd);
    }
    renameSync(temp, file);
  } catch (thrown) {
    rmSync(temp, { force: true });
    throw thrown;
  }
}
