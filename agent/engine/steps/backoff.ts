/**
 * Retries failures after growing pauses, whoever requests the run: the schedule does not shorten them. A manual sync, a new
 * commit, and a sign that the cause has ended do.
 */
import type { ReasonCode } from '../../../manifests-schema/reasons.ts';
import type { ResourceId } from '../../core/types.ts';
import { AgentError } from '../../errors.ts';
import type { Clock } from '../../system/clock.ts';
import type { Backoff } from '../types.ts';

const FIRST_MS = 5_000;
const LAST_MS = 300_000;
/** Minimum pause after a registry limited the rate of this host without saying for how long. */
const LIMITED_MS = 30_000;
interface Entry {
  hash: string;
  error: AgentError;
  times: number;
  untilMs: number;
}

interface Options {
  clock: Pick<Clock, 'now'>;
  random(): number;
}

export function createBackoff({ clock, random }: Options): Backoff {
  const entries = new Map<ResourceId, Entry>();
  let tried: string | null = null;
  const nowMs = () => clock.now().getTime();
  return {
    held(id, hash) {
      const entry = entries.get(id);
      const left = (entry?.untilMs ?? 0) - nowMs();
      // A clock that was set back must not lengthen a pause beyond its maximum.
      if (entry === undefined || entry.hash !== hash || left <= 0 || left > pauseMs(entry.error, entry.times, 1))
        return null;
      return { error: entry.error, until: new Date(entry.untilMs).toISOString() };
    },
    failed(id, hash, error) {
      const before = entries.get(id);
      const times = before?.hash === hash ? before.times + 1 : 1;
      entries.set(id, { hash, error, times, untilMs: nowMs() + pauseMs(error, times, random()) });
    },
    well: (id) => void entries.delete(id),
    clear: () => entries.clear(),
    trying(commit) {
      if (commit !== tried) entries.clear();
      tried = commit;
    },
    hint(isConcerned) {
      let any = false;
      for (const [id, entry] of entries) {
        if (entry.untilMs <= nowMs() || !isConcerned(id, entry.error.code)) continue;
        entry.untilMs = 0;
        any = true;
      }
      return any;
    },
    dueMs() {
      const waits = [...entries.values()].map(({ untilMs }) => untilMs - nowMs()).filter((ms) => ms > 0);
      return waits.length === 0 ? null : Math.min(...waits);
    },
  };
}

/** @param random 0 … 1, so that hosts that failed together do not retry together */
export function pauseMs(
  { code, retryAfterMs = 0 }: Pick<AgentError, 'code' | 'retryAfterMs'>,
  times: number,
  random: number,
): number {
  const isLimit = code === 'RateLimited';
  const grown = Math.min((isLimit ? LIMITED_MS : FIRST_MS) * 2 ** (times - 1), LAST_MS);
  // The server's own delay is the minimum, and may be longer than any of our pauses.
  const least = Math.max(retryAfterMs, isLimit ? LIMITED_MS : 0);
  return Math.max(least, grown * (0.75 + random / 4)) + (isLimit ? random * 1_000 : 0);
}

/** The renewal of a resource (a moved image tag) has its own pauses, so that it does not delay a repair. */
export const renewalOf = (id: ResourceId): ResourceId => `${id} (renewal)`;

/** The error for a resource that is not tried in this run. */
export const stillFailing = ({ error, until }: { error: AgentError; until: string }): AgentError =>
  new AgentError({ code: error.code as ReasonCode, phase: error.phase, message: error.message, retry: true, until });
