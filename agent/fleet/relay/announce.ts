/** Sends push notices to the hosts: the newest commit of each ref, repeated until the broker has accepted it. */
import type { Log } from '../../log.ts';
import type { Clock } from '../../system/clock.ts';
import type { Push } from './hooks/forges.ts';

export interface Announcer {
  pushed(pushes: readonly Push[]): void;
  /** Resolves when all notices were sent, or the last try has ended. */
  stop(): Promise<void>;
}

export interface AnnouncerOptions {
  /** Throws if the broker does not accept it. */
  publish(push: Push): Promise<void>;
  clock: Pick<Clock, 'sleep'>;
  log: Log;
}

/** Maximum number of refs that wait for an unreachable broker; commits of others are found by the schedule of the hosts. */
const MAX_WAITING = 100;
const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 60_000;

export function createAnnouncer({ publish, clock, log }: AnnouncerOptions): Announcer {
  const waiting = new Map<string, string>();
  const stopper = new AbortController();
  let work: Promise<void> | null = null;

  async function tell(): Promise<void> {
    let waitMs = FIRST_WAIT_MS;
    while (!stopper.signal.aborted) {
      const [next] = waiting;
      if (next === undefined) return;
      const [ref, commit] = next;
      try {
        await publish({ ref, commit });
        log.info({ ref, commit }, 'a push notice was sent to the hosts');
        // A newer commit may have arrived meanwhile.
        if (waiting.get(ref) === commit) waiting.delete(ref);
        waitMs = FIRST_WAIT_MS;
      } catch (thrown) {
        log.warn(
          { ref, commit, error: thrown instanceof Error ? thrown.message : String(thrown) },
          `cannot send a push notice to the hosts; tried again in ${waitMs / 1_000} s`,
        );
        await clock.sleep(waitMs, stopper.signal);
        waitMs = Math.min(LONGEST_WAIT_MS, 2 * waitMs);
      }
    }
  }

  function begin(): void {
    work ??= tell().finally(() => {
      work = null;
      if (waiting.size > 0 && !stopper.signal.aborted) begin();
    });
  }

  return {
    pushed(pushes) {
      for (const { ref, commit } of pushes) {
        waiting.delete(ref);
        waiting.set(ref, commit);
        const [oldest] = waiting.keys();
        if (waiting.size > MAX_WAITING && oldest !== undefined) waiting.delete(oldest);
      }
      begin();
    },
    async stop() {
      stopper.abort();
      await work;
    },
  };
}
