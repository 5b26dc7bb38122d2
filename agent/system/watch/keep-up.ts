/** Keeps a subscription up: tries again with growing pauses, and reports each loss and each return once. */
import type { Log } from '../../log.ts';
import type { Clock } from '../clock.ts';

export interface KeepUpOptions {
  clock: Clock;
  log: Log;
  /** One connection, from its beginning to its end; `begun` is called once events arrive. */
  session(signal: AbortSignal, begun: () => void): Promise<void>;
  /** Events are heard from now on, at first or after a cut: what happened before went unheard. Also when they stay away. */
  gap(): void;
  /** Log messages for a loss, and for its end. */
  lost: string;
  back: string;
}

const FIRST_WAIT_MS = 200;
const LAST_WAIT_MS = 30_000;
/** After a loss that is longer than a restart takes, look at everything once. */
const AWAY_MS = 5_000;

/** Resolves once events are heard, or after the first failed attempt; keeps them up until `signal` aborts. */
export function keepUp(options: KeepUpOptions, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    void keep(options, signal, resolve).finally(resolve);
  });
}

async function keep(options: KeepUpOptions, signal: AbortSignal, tried: () => void): Promise<void> {
  const { clock, log } = options;
  let away: number | null = null;
  let told = false;
  for (let wait = FIRST_WAIT_MS; !signal.aborted; wait = Math.min(wait * 2, LAST_WAIT_MS)) {
    let why = 'it was closed';
    try {
      await options.session(signal, () => {
        if (away !== null) log.info({}, options.back);
        wait = FIRST_WAIT_MS;
        away = null;
        told = false;
        options.gap();
        tried();
      });
    } catch (thrown) {
      why = thrown instanceof Error ? thrown.message : String(thrown);
    }
    if (signal.aborted) break;
    if (away === null) {
      away = clock.monotonic();
      log.warn({ why }, options.lost);
    } else if (!told && clock.monotonic() - away >= AWAY_MS) {
      told = true;
      options.gap();
    }
    tried();
    await clock.sleep(wait, signal);
  }
}
