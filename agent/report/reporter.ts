/** Tells the broker: presence, retained status and resources, and the events of the outbox, in order. */
import type { StatusDocument } from '../../manifests-schema/payloads.ts';
import { eventDocumentOf } from '../core/event.ts';
import type { AgentEvent, ResourceStatus } from '../core/types.ts';
import { asAgentError } from '../errors.ts';
import { concerns, isPattern, shortName } from '../git/refs.ts';
import type { Log } from '../log.ts';
import type { Outbox } from '../store/outbox.ts';
import type { Clock } from '../system/clock.ts';
import type { BrokerSettings } from '../system/mqtt.ts';
import { type BrokerProblem, createConnection, type Link } from './connection.ts';

export interface ReporterOptions {
  broker: BrokerSettings;
  prefix: string;
  host: string;
  fleet: string;
  /** Random, new at every start of the agent. */
  instance: string;
  /** The ref of which push notices are heard. */
  ref: string;
  outbox: Outbox;
  clock: Clock;
  log: Log;
  random(): number;
  /** What is retained, asked for at the moment of sending: nothing else is true by then. */
  status(): StatusDocument;
  /** The very same list as long as it says the same. */
  resources(): readonly ResourceStatus[];
  /** A run is at work. */
  busy(): boolean;
  /** A push notice for our ref came: the payload, as anybody may have sent it. */
  onPush(payload: string): void;
  probeMs?: number;
}

export interface Reporter {
  start(): void;
  /** Status, resources or events are new: they go out now, or as soon as there is a broker. */
  changed(): void;
  /** What is wrong with the broker. */
  problems(): readonly BrokerProblem[];
  /** Resolves when everything has been said, or after `ms`. */
  flushed(ms: number): Promise<void>;
  /** Says `offline` and ends, within 3 s. */
  stop(): Promise<void>;
}

/** Replay after an outage: this many events, then a pause. */
const BATCH = 50;
const BATCH_PAUSE_MS = 250;
/** So long, at most, each further batch gives way to a run: what was done is told later, what is to be done is waited for. */
const WAY_MS = 2_000;

export function createReporter(options: ReporterOptions): Reporter {
  const { outbox, clock, log } = options;
  const base = `${options.prefix}/${options.fleet}/hosts/${options.host}`;
  const stopper = new AbortController();
  let link: Link | null = null;
  let stale = true;
  /** The list that the broker keeps. */
  let told: readonly ResourceStatus[] | null = null;
  let draining = false;
  let waiting: (() => void)[] = [];

  const clientId = `fairlead-${options.fleet}-${options.host}`;
  const connection = createConnection({
    ...options,
    clientId,
    probeId: `${clientId}-probe-${options.instance}`,
    presence: `${base}/presence`,
    subscription: `${options.prefix}/${options.fleet}/refs/${refFilter(options.ref)}`,
    onMessage(topic, payload) {
      if (isForUs(topic, options.ref)) options.onPush(payload);
    },
    onUp(opened) {
      link = opened;
      told = null;
      changed();
    },
    onProblems: changed,
  });

  function changed(): void {
    stale = true;
    void drain();
  }

  /** Sends what is retained, then the outbox, one event after another: a row goes only after its acknowledgement. */
  async function drain(): Promise<void> {
    if (draining) return;
    draining = true;
    let [hasMore, gaveWayMs] = [false, 0];
    try {
      while (link?.up()) {
        if (stale) {
          await retain(link);
          continue;
        }
        if (hasMore && gaveWayMs < WAY_MS && waiting.length === 0 && options.busy()) {
          gaveWayMs += BATCH_PAUSE_MS;
          await clock.sleep(BATCH_PAUSE_MS, stopper.signal);
          continue;
        }
        const events = outbox.peek(BATCH);
        if ((await send(link, events)) < BATCH) {
          if (stale) continue;
          for (const resolve of waiting.splice(0)) resolve();
          break;
        }
        [hasMore, gaveWayMs] = [true, 0];
        await clock.sleep(BATCH_PAUSE_MS, stopper.signal);
      }
    } catch (thrown) {
      const { message } = asAgentError(thrown, { code: 'PublishFailed', phase: 'report' });
      log.debug({ error: message }, 'publishing was interrupted');
    } finally {
      draining = false;
    }
  }

  async function retain(to: Link): Promise<void> {
    stale = false;
    try {
      await to.publish(`${base}/status`, JSON.stringify(options.status()), true);
      const resources = options.resources();
      if (resources === told) return;
      const text = JSON.stringify({ schema: 1, resources });
      if (await to.publish(`${base}/resources`, text, true)) told = resources;
    } catch (thrown) {
      stale = true;
      throw thrown;
    }
  }

  /** @returns how many went; what the broker refuses stays in the outbox */
  async function send(to: Link, events: readonly AgentEvent[]): Promise<number> {
    let sent = 0;
    for (const event of events) {
      if (!(await to.publish(`${base}/events`, JSON.stringify(eventDocumentOf(options, event)), false))) break;
      outbox.ack(event.seq);
      sent++;
    }
    return sent;
  }

  return {
    start: () => connection.start(),
    changed,
    problems: () => connection.problems(),
    async flushed(ms) {
      const done = new Promise<void>((resolve) => waiting.push(resolve));
      void drain();
      const enough = new AbortController();
      await Promise.race([done, clock.sleep(ms, enough.signal)]);
      enough.abort();
      waiting = [];
    },
    async stop() {
      await connection.stop();
      stopper.abort();
    },
  };
}

/** The last level of the topic to subscribe; a pattern, and the default branch, may be announced under any name. */
const refFilter = (ref: string) => (isPattern(ref) || ref === 'HEAD' ? '+' : encodeURIComponent(shortName(ref)));

function isForUs(topic: string, ref: string): boolean {
  try {
    return concerns(ref, decodeURIComponent(topic.slice(topic.lastIndexOf('/') + 1)));
  } catch {
    return false;
  }
}
