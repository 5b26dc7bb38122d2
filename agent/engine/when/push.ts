/** Push notices: each may cause one poll, at this host's offset within the splay, and no more. */

import { LONGEST_TIMER_MS } from '../../system/clock.ts';

export interface PushGateOptions {
  /** This host's offset within the splay. */
  offsetMs: number;
  /** Whether this host has already seen the commit of a notice. */
  known(commit: string): boolean;
  /** One reconcile. */
  sync(): Promise<void>;
}

export interface PushGate {
  /** A notice arrived. Its sender is not trusted, so it is at most a reason to poll. */
  notice(payload: string): void;
  stop(): void;
}

/** After a poll that did not find the announced commit, notices wait this long, and twice as long after each further one. */
const QUIET_MS = 10_000;
const LONGEST_QUIET_MS = 300_000;
/** After this time without a false notice, the next one counts as the first again. */
const CALM_MS = 1_800_000;

export function createPushGate({ offsetMs, known, sync }: PushGateOptions): PushGate {
  let timer: NodeJS.Timeout | null = null;
  let polled = '';
  let announced = '';
  let running = false;
  let quiet = false;
  let quietMs = QUIET_MS;
  let calm: NodeJS.Timeout | null = null;

  async function poll(): Promise<void> {
    timer = null;
    running = true;
    polled = announced;
    const commit = polled;
    await sync();
    running = false;
    // A newer commit may have been announced, and found, meanwhile.
    quiet = !known(commit) && !known(announced);
    if (quiet) lied();
    else peace();
    // Handles a notice that arrived meanwhile.
    if (announced !== polled && !known(announced)) wait();
    else if (quiet) wait();
  }

  /** A false notice causes a poll at growing intervals only. The schedule finds real commits meanwhile. */
  function lied(): void {
    if (calm !== null) quietMs = Math.min(quietMs * 2, LONGEST_QUIET_MS);
    if (calm !== null) clearTimeout(calm);
    calm = setTimeout(peace, CALM_MS);
  }

  /** The announced commit was found, or there was no false notice for long. */
  function peace(): void {
    if (calm !== null) clearTimeout(calm);
    calm = null;
    quietMs = QUIET_MS;
  }

  /** Schedules the next poll, with the longer pause after a false notice. */
  function wait(): void {
    if (timer !== null || running) return;
    timer = setTimeout(
      () => {
        timer = null;
        quiet = false;
        if (announced !== polled && !known(announced)) void poll();
      },
      quiet ? quietMs : Math.min(offsetMs, LONGEST_TIMER_MS),
    );
  }

  return {
    notice(payload) {
      const commit = payload.trim();
      // A retained notice arrives again at each reconnect.
      if (!/^[0-9a-f]{40}$/.test(commit) || commit === polled || known(commit)) return;
      announced = commit;
      wait();
    },
    stop() {
      if (timer !== null) clearTimeout(timer);
      if (calm !== null) clearTimeout(calm);
    },
  };
}
