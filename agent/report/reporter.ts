/** Reports to the channel: the retained documents of this host, and the events of the outbox, in order. */
import type { Channel, ReceivedCommand } from '../core/channel.ts';
import { eventDocumentOf } from '../core/reporting/event.ts';
import type { AgentEvent, Problem } from '../core/types.ts';
import { asAgentError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Outbox } from '../store/history/outbox.ts';
import type { Clock } from '../system/clock.ts';
import { createRetaining, type RetainingOptions } from './retaining.ts';

export interface ReporterOptions extends RetainingOptions {
  channel: Channel;
  host: string;
  fleet: string;
  outbox: Pick<Outbox, 'peek' | 'ack'>;
  clock: Pick<Clock, 'sleep' | 'monotonic'>;
  log: Log;
  /** A push notice for our ref came: the payload, as anybody may have sent it. */
  onNotice(payload: string): void;
  /** Other parts that publish for this host while the channel is open. */
  beside?: readonly { opened(): void; stop(): void }[];
  /** A command came, as anybody may have sent it. */
  onCommand?(received: ReceivedCommand): void;
}

export interface Reporter {
  start(): void;
  /** Status, resources or events are new: they go out as soon as the channel is open, and their pace allows. */
  changed(): void;
  /** Whether the channel is open. */
  isOpen(): boolean;
  /** Current problems of the channel. */
  problems(): readonly Problem[];
  /** Resolves when everything has been said, or after `ms`. */
  flushed(ms: number): Promise<void>;
  /** Sends the remaining reports and that this host leaves, then ends, within 4 s. */
  stop(): Promise<void>;
}

/** Time that a stop waits for documents that are held back by their pace. */
const LAST_WORDS_MS = 500;
/** Replay after an outage: this many events, then a pause. */
const BATCH = 50;
const BATCH_PAUSE_MS = 250;
/** Longest that each further batch yields to a run: somebody waits for the run, nobody for old events. */
const YIELD_MS = 2_000;

/** Takes the place of an event that cannot be sent, so that the events after it can. */
const gapOf = (event: AgentEvent): AgentEvent => ({
  ...event,
  ...{ type: 'gap', run: null, data: { from: event.seq, to: event.seq, count: 1 } },
});

export function createReporter(options: ReporterOptions): Reporter {
  const { channel, outbox, clock, log } = options;
  const stopper = new AbortController();
  let isStale = true;
  /** Publish everything, whatever its pace. */
  let isHurried = false;
  /** Ends the wait until something may be said again. */
  let later = new AbortController();
  const retaining = createRetaining(options);
  let isDraining = false;
  let isAsked = false;
  let waiting: (() => void)[] = [];

  function changed(): void {
    isStale = true;
    void drain();
  }

  /**
   * Runs one drain at a time. A request during a drain, or just before its end, makes it look once more. After a lost
   * connection the drain goes on when the channel is open again.
   */
  async function drain(): Promise<void> {
    isAsked = true;
    if (isDraining) return;
    isDraining = true;
    while (isAsked) {
      isAsked = false;
      try {
        await sendAll();
      } catch (thrown) {
        const { message } = asAgentError(thrown, { code: 'PublishFailed', phase: 'report' });
        log.debug({ error: message }, 'publishing was interrupted');
      }
    }
    isDraining = false;
  }

  /** Sends the retained documents, then the outbox, one event after another: a row is deleted only after its acknowledgement. */
  async function sendAll(): Promise<void> {
    let hasMore = false;
    let yieldedMs = 0;
    while (channel.isOpen()) {
      if (isStale) {
        await retain();
        continue;
      }
      if (hasMore && yieldedMs < YIELD_MS && waiting.length === 0 && options.busy()) {
        yieldedMs += BATCH_PAUSE_MS;
        await clock.sleep(BATCH_PAUSE_MS, stopper.signal);
        continue;
      }
      if ((await send(outbox.peek(BATCH))) < BATCH) {
        if (isStale) continue;
        for (const resolve of waiting.splice(0)) resolve();
        return;
      }
      hasMore = true;
      yieldedMs = 0;
      await clock.sleep(BATCH_PAUSE_MS, stopper.signal);
    }
  }

  async function retain(): Promise<void> {
    isStale = false;
    later.abort();
    try {
      lookAgain(await retaining.look(isHurried));
    } catch (thrown) {
      isStale = true;
      throw thrown;
    }
  }

  function lookAgain(afterMs: number): void {
    if (stopper.signal.aborted) return;
    later = new AbortController();
    const { signal } = later;
    void clock.sleep(afterMs, signal).then(() => {
      if (!signal.aborted) changed();
    });
  }

  /** @returns the number of sent events; refused ones stay in the outbox, and one that is too large is lost */
  async function send(events: readonly AgentEvent[]): Promise<number> {
    let sent = 0;
    for (const event of events) {
      let answer = await channel.send(eventDocumentOf(options, event));
      if (answer === 'too-large') {
        log.warn(
          { event: event.seq, type: event.type },
          'an event is larger than the broker takes; a gap is sent instead',
        );
        answer = await channel.send(eventDocumentOf(options, gapOf(event)));
      }
      if (answer !== 'taken') break;
      outbox.ack(event.seq);
      sent++;
    }
    return sent;
  }

  async function flushed(ms: number): Promise<void> {
    const done = new Promise<void>((resolve) => waiting.push(resolve));
    isHurried = true;
    changed();
    const enough = new AbortController();
    await Promise.race([done, clock.sleep(ms, enough.signal)]);
    enough.abort();
    isHurried = false;
    waiting = [];
  }

  return {
    start: () =>
      channel.start({
        opened() {
          retaining.forget();
          changed();
          for (const one of options.beside ?? []) one.opened();
        },
        problemsChanged: changed,
        notice: options.onNotice,
        command: options.onCommand ?? (() => undefined),
      }),
    changed,
    isOpen: () => channel.isOpen(),
    problems: () => channel.problems(),
    flushed,
    async stop() {
      for (const one of options.beside ?? []) one.stop();
      if (channel.isOpen()) await flushed(LAST_WORDS_MS);
      await channel.stop();
      stopper.abort();
      later.abort();
    },
  };
}
