/**
 * Unpacks in a separate process that is started when a fetch begins and ends with it. The slowest part of its start is the
 * sandbox that systemd sets up, so that is prepared between fetches: a shell waits in it, and nothing else.
 */
import type { Log } from '../../log.ts';
import type { Unpack } from '../pack/unpack.ts';
import { type Channel, NotStarted, openChannel, type Prepared, prepare, unreadable, type Way } from './reader.ts';

export interface Unpacking {
  /** To be called before a fetch: starts the process in parallel. Never throws. */
  begin(): void;
  unpack: Unpack;
  /** The fetch is over. Resolves when nothing of it runs any more. */
  end(): Promise<void>;
  /** To be called while the agent is idle: prepares the next fetch. Never throws. */
  prepare(): void;
  /** Stop fetching. Resolves when no process runs or waits. */
  stop(): Promise<void>;
}

export interface UnpackingOptions {
  /** The ways to start the process, the best one first. */
  ways: readonly Way[];
  log: Log;
  /** Time for which it waits for a pack if nobody ends the fetch, in ms. */
  idleMs?: number;
  /** Milliseconds that it may say nothing while a pack is read. */
  silenceMs?: number;
}

const IDLE_MS = 20_000;
/** First finish the work that the last run left. */
const PREPARE_MS = 10;

export function createUnpacking({ ways, log, idleMs = IDLE_MS, silenceMs }: UnpackingOptions): Unpacking {
  let left = ways;
  /** A way that worked once is not replaced by a worse one. */
  let proven: Way | null = null;
  let channel: Promise<Channel> | null = null;
  let prepared: { way: Way; place: Prepared } | null = null;
  let preparing: NodeJS.Timeout | undefined;
  let isStopped = false;
  let timer: NodeJS.Timeout | undefined;
  /** Packs that are read, or wait to be. */
  let wanted = 0;
  let queue: Promise<unknown> = Promise.resolve();
  /** The previous process has ended: two would share the limits of processes and threads. */
  let gone: Promise<unknown> = Promise.resolve();

  /** A process that was killed does not count as broken: start again from the best way. */
  async function openPrepared(way: Way): Promise<Channel | null> {
    const found = prepared;
    prepared = null;
    if (found?.way !== way || found.place.isGone()) return null;
    return found.place.open().catch(() => null);
  }

  async function open(): Promise<Channel> {
    for (;;) {
      const [way, ...others] = left;
      if (way === undefined) throw unreadable('no process can be started for that; the log says why');
      try {
        const opened = (await openPrepared(way)) ?? (await openChannel(way, { silenceMs }));
        proven = way;
        return opened;
      } catch (thrown) {
        if (!(thrown instanceof NotStarted)) throw thrown;
        log.warn({ error: thrown.message }, `packs cannot be read by a process of the kind ${way.name}`);
        // The last one is tried again each time: it may just have been a moment without memory.
        if (others.length === 0 || way === proven) throw unreadable(thrown.message);
        left = others;
      }
    }
  }

  const close = async (): Promise<void> => {
    clearTimeout(timer);
    const was = channel;
    channel = null;
    if (was !== null)
      gone = was.then(
        (open) => open.stop(),
        () => undefined,
      );
    await gone;
  };
  const ready = (): Promise<Channel> => {
    clearTimeout(timer);
    if (channel === null) {
      channel = gone.then(open);
      channel.catch(() => undefined);
    }
    return channel;
  };
  /** The idle time counts from when the process is ready and no pack needs it, because its start may take longer than that. */
  const rest = (): void => {
    clearTimeout(timer);
    if (wanted > 0) return;
    timer = setTimeout(() => void close(), idleMs);
    timer.unref();
  };

  return {
    begin() {
      ready().then(rest, () => undefined);
    },
    unpack(pack, options) {
      wanted++;
      // One pack at a time: the process reads nothing else meanwhile.
      const next = queue.then(async () => {
        try {
          const open = await ready();
          try {
            await open.unpack(pack, options);
          } catch (thrown) {
            // The id may be anywhere in that pack.
            await close();
            throw thrown;
          }
        } finally {
          wanted--;
        }
      });
      queue = next.catch(() => undefined);
      return next;
    },
    end: () => queue.then(close),
    prepare() {
      clearTimeout(preparing);
      preparing = setTimeout(() => {
        const isReady = prepared !== null && !prepared.place.isGone();
        // Prepare only a kind of process that has worked, and only if that saves time.
        if (isStopped || isReady || channel !== null || proven === null) return;
        try {
          const place = prepare(proven, { silenceMs });
          prepared = place && { way: proven, place };
        } catch (thrown) {
          // Nobody waits for it: the next fetch tries again, and reports what fails.
          if (!(thrown instanceof NotStarted)) throw thrown;
        }
      }, PREPARE_MS).unref();
    },
    async stop() {
      isStopped = true;
      clearTimeout(preparing);
      const left = prepared;
      prepared = null;
      await Promise.all([queue.then(close), left?.place.stop()]);
    },
  };
}
