/**
 * Unpacks in a process of its own, started when a fetch begins and gone when it is over. What takes longest of its start, the
 * place without rights that systemd makes for it, is prepared between fetches: a shell waits there, and nothing else.
 */
import type { Log } from '../../log.ts';
import type { Unpack } from '../pack/unpack.ts';
import { type Channel, NotStarted, openChannel, type Prepared, prepare, unreadable, type Way } from './reader.ts';

export interface Unpacking {
  /** A fetch is about to begin: what takes time to start is started beside it. Never throws. */
  begin(): void;
  unpack: Unpack;
  /** The fetch is over. Resolves when nothing of it runs any more. */
  end(): Promise<void>;
  /** Time is at hand to prepare what the next fetch needs. Never throws. */
  prepare(): void;
  /** Nothing is fetched any more. Resolves when nothing runs or waits. */
  stop(): Promise<void>;
}

export interface UnpackingOptions {
  /** How the process can be started, the best way first. */
  ways: readonly Way[];
  log: Log;
  /** Milliseconds that it waits for a pack, where nobody says that the fetch is over. */
  idleMs?: number;
  /** Milliseconds that it may say nothing while a pack is read. */
  silenceMs?: number;
}

const IDLE_MS = 20_000;
/** What a run leaves to be done is done first. */
const PREPARE_MS = 10;

export function createUnpacking({ ways, log, idleMs = IDLE_MS, silenceMs }: UnpackingOptions): Unpacking {
  let left = ways;
  /** One that worked once is not given up for a lesser one. */
  let proven: Way | null = null;
  let channel: Promise<Channel> | null = null;
  let prepared: { way: Way; place: Prepared } | null = null;
  let preparing: NodeJS.Timeout | undefined;
  let isStopped = false;
  let timer: NodeJS.Timeout | undefined;
  /** Packs that are read, or wait to be. */
  let wanted = 0;
  let queue: Promise<unknown> = Promise.resolve();
  /** The one before is gone: two of them would share what processes and threads they may have. */
  let gone: Promise<unknown> = Promise.resolve();

  /** One that was ended by somebody else is none: all of it is started then. */
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
  /** It is idle from when it is there and no pack wants it: to start may take longer than it may be idle. */
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
      // One pack at a time: the process reads what it is given, and nothing beside it.
      const next = queue.then(async () => {
        try {
          const open = await ready();
          try {
            await open.unpack(pack, options);
          } catch (thrown) {
            // It may stand anywhere in that pack.
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
        // Only what has worked is prepared, and only where that saves time.
        if (isStopped || isReady || channel !== null || proven === null) return;
        const place = prepare(proven, { silenceMs });
        prepared = place && { way: proven, place };
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
