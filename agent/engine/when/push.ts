/** Push notices: each may cause one poll, at this host's place within the splay, and no more. */

export interface PushGateOptions {
  /** This host's place within the splay. */
  offsetMs: number;
  /** The commit of a notice is what this host has seen already. */
  known(commit: string): boolean;
  /** One reconcile. */
  sync(): Promise<void>;
}

export interface PushGate {
  /** A notice came, from nobody that could be trusted: at most a reason to look. */
  notice(payload: string): void;
  stop(): void;
}

/** After a poll that did not find what was announced, notices wait this long, and twice as long after each further one. */
const QUIET_MS = 10_000;
const LONGEST_QUIET_MS = 300_000;
/** Without a lie for this long, the next one costs no more than the first. */
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
    // A newer one may have been announced, and found, meanwhile.
    quiet = !known(commit) && !known(announced);
    if (quiet) lied();
    else peace();
    // What was announced meanwhile.
    if (announced !== polled && !known(announced)) wait();
    else if (quiet) wait();
  }

  /** A liar gains a poll now and then, and less and less often. The schedule finds what is true meanwhile. */
  function lied(): void {
    if (calm !== null) quietMs = Math.min(quietMs * 2, LONGEST_QUIET_MS);
    if (calm !== null) clearTimeout(calm);
    calm = setTimeout(peace, CALM_MS);
  }

  /** What was announced was there, or nobody has lied for long. */
  function peace(): void {
    if (calm !== null) clearTimeout(calm);
    calm = null;
    quietMs = QUIET_MS;
  }

  /** Quiet or not: the next poll, if one is asked for until then. */
  function wait(): void {
    if (timer !== null || running) return;
    timer = setTimeout(
      () => {
        timer = null;
        quiet = false;
        if (announced !== polled && !known(announced)) void poll();
      },
      quiet ? quietMs : offsetMs,
    );
  }

  return {
    notice(payload) {
      const commit = payload.trim();
      // A retained notice comes again at each reconnect.
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
