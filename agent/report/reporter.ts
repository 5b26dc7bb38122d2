/** Reports to the channel: status and resources, which it retains, and the events of the outbox, in order. */
import type { StatusDocument } from '../../manifests-schema/payloads.ts';
import type { Channel } from '../core/channel.ts';
import { eventDocumentOf } from '../core/event.ts';
import type { AgentEvent, Problem, ResourceStatus } from '../core/types.ts';
import { asAgentError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Outbox } from '../store/outbox.ts';
import type { Clock } from '../system/clock.ts';

export interface ReporterOptions {
  channel: Channel;
  host: string;
  fleet: string;
  outbox: Pick<Outbox, 'peek' | 'ack'>;
  clock: Pick<Clock, 'sleep'>;
  log: Log;
  /** What is retained, asked for at the moment of sending: nothing else is true by then. */
  status(): StatusDocument;
  /** The very same list as long as it says the same. */
  resources(): readonly ResourceStatus[];
  /** A run is at work. */
  busy(): boolean;
  /** A push notice for our ref came: the payload, as anybody may have sent it. */
  onNotice(payload: string): void;
}

export interface Reporter {
  start(): void;
  /** Status, resources or events are new: they go out now, or as soon as the channel is open. */
  changed(): void;
  /** What is wrong with the channel. */
  problems(): readonly Problem[];
  /** Resolves when everything has been said, or after `ms`. */
  flushed(ms: number): Promise<void>;
  /** Says that this host leaves, and ends, within 3 s. */
  stop(): Promise<void>;
}

/** Replay after an outage: this many events, then a pause. */
const BATCH = 50;
const BATCH_PAUSE_MS = 250;
/** Longest that each further batch yields to a run: somebody waits for the run, nobody for old events. */
const YIELD_MS = 2_000;

export function createReporter(options: ReporterOptions): Reporter {
  const { channel, outbox, clock, log } = options;
  const stopper = new AbortController();
  let isStale = true;
  /** The list that the far end keeps. */
  let retained: readonly ResourceStatus[] | null = null;
  let isDraining = false;
  let isAsked = false;
  let waiting: (() => void)[] = [];

  function changed(): void {
    isStale = true;
    void drain();
  }

  /**
   * One drain at a time; whoever asks for one while it goes on, or while it is about to end, gets another look. What a lost
   * connection broke off is taken up again when the channel is open again.
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

  /** Sends what is retained, then the outbox, one event after another: a row goes only after its acknowledgement. */
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
    try {
      await channel.retain('status', options.status());
      const resources = options.resources();
      if (resources === retained) return;
      if ((await channel.retain('resources', { schema: 1, resources })) === 'taken') retained = resources;
    } catch (thrown) {
      isStale = true;
      throw thrown;
    }
  }

  /** @returns how many went; what is refused stays in the outbox */
  async function send(events: readonly AgentEvent[]): Promise<number> {
    let sent = 0;
    for (const event of events) {
      if ((await channel.send(eventDocumentOf(options, event))) === 'refused') break;
      outbox.ack(event.seq);
      sent++;
    }
    return sent;
  }

  return {
    start: () =>
      channel.start({
        opened() {
          retained = null;
          changed();
        },
        problemsChanged: changed,
        notice: options.onNotice,
      }),
    changed,
    problems: () => channel.problems(),
    async flushed(ms) {
      const done = new Promise<void>((resolve) => waiting.push(resolve));
      void drain();
      const enough = new AbortController();
      await Promise.race([done, clock.sleep(ms, enough.signal)]);
      enough.abort();
      waiting = [];
    },
    async stop() {
      await channel.stop();
      stopper.abort();
    },
  };
}
