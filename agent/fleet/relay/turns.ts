/** Runs in turns with other relays of the fleet: connects, holds the lease or stands by, and reconnects. */
import { AgentError } from '../../errors.ts';
import type { Log } from '../../log.ts';
import type { Clock } from '../../system/clock.ts';
import { type BrokerSettings, connectBroker } from '../../system/mqtt.ts';
import { randomWord } from '../client.ts';
import { linkOf } from '../reader/link.ts';
import { createLease, gone, hear, type LeaseStep, leaseWordOf, tickLease } from './lease.ts';

export interface TurnsOptions {
  broker: BrokerSettings;
  prefix: string;
  fleet: string;
  clock: Clock;
  random(): number;
  log: Log;
  /** Called when this relay becomes active, until `signal` aborts. */
  work(turn: Turn, signal: AbortSignal): Promise<void>;
}

/** Topics below `relay/` with the records for the next holder. */
export const SHELVES = ['state', 'statuses'] as const;
export type Shelf = (typeof SHELVES)[number];

export interface Turn {
  /** Record of the previous holder; empty if there is none. */
  left(shelf: Shelf): string;
  /** Retains the text for the next holder. Resolves without effect if the lease or the connection was lost. */
  share(shelf: Shelf, text: string): Promise<void>;
}

const CONNECT_MS = 10_000;
const MAX_PACKET_BYTES = 1024 * 1024;
const TICK_MS = 1_000;
const LONGEST_WAIT_MS = 30_000;

/** Until `signal` aborts. */
export async function takeTurns(options: TurnsOptions, signal: AbortSignal): Promise<void> {
  const { clock, log } = options;
  for (let waitMs = TICK_MS; !signal.aborted; waitMs = Math.min(LONGEST_WAIT_MS, 2 * waitMs)) {
    try {
      await oneConnection(options, signal);
      waitMs = TICK_MS;
    } catch (thrown) {
      if (!(thrown instanceof AgentError)) throw thrown;
      log.warn({ reason: thrown.code }, `${thrown.message}; tried again in ${waitMs / 1_000} s`);
    }
    if (!signal.aborted) await clock.sleep(waitMs * (0.75 + options.random() / 2), signal);
  }
}

/** Resolves when the connection and the work on it have ended. Throws AgentError `BrokerUnreachable` */
async function oneConnection(
  { broker, prefix, fleet, clock, random, log, work }: TurnsOptions,
  signal: AbortSignal,
): Promise<void> {
  const id = randomWord();
  const base = `${prefix}/${fleet}/relay`;
  const topic = `${base}/lease`;
  const client = await connectBroker({
    ...{ broker, clientId: `fairlead-relay-${id}`, timeoutMs: CONNECT_MS, maxPacketBytes: MAX_PACKET_BYTES, signal },
    will: { topic, payload: JSON.stringify(gone(id)) },
  });
  const link = linkOf(client, broker.url);
  const over = new AbortController();
  const stop = () => over.abort();
  signal.addEventListener('abort', stop, { once: true });
  const lease = createLease(id, clock.monotonic(), random());
  const shelves = new Map<string, string>();
  let turn: { end: AbortController; done: Promise<void> } | null = null;

  const say = (text: string) =>
    link.publish(topic, text, { qos: 1, retain: true }).catch((thrown: Error) => {
      log.warn(
        { error: thrown.message },
        `the broker does not take the word of this relay on ${topic}; allow this user to write there`,
      );
    });
  const take = ({ say: word, turn: change }: LeaseStep) => {
    if (word !== null) void say(JSON.stringify(word));
    if (change === 'held') {
      log.info({ id }, 'this relay works now');
      const end = new AbortController();
      const share = async (shelf: Shelf, text: string) => {
        if (lease.state.kind !== 'holding' || !link.isOpen()) return;
        await link.publish(`${base}/${shelf}`, text, { qos: 1, retain: true }).catch((thrown: unknown) => {
          if (link.isOpen()) throw thrown;
        });
      };
      const left = (shelf: Shelf) => shelves.get(`${base}/${shelf}`) ?? '';
      turn = { end, done: work({ left, share }, end.signal) };
      turn.done.catch((thrown: unknown) => {
        log.error(
          { error: thrown instanceof Error ? thrown.stack : String(thrown) },
          'the work of this relay broke off',
        );
        over.abort();
      });
    }
    if (change === 'lost') {
      log.info({ id }, 'another relay is active now; this one stands by');
      turn?.end.abort();
    }
  };
  link.listen({
    message({ topic: on, payload }) {
      // A relay that stops receives its own last message, which must not be corrected.
      if (over.signal.aborted) return;
      if (on !== topic) shelves.set(on, payload);
      else {
        const word = leaseWordOf(payload);
        if (word !== null) take(hear(lease, word, clock.monotonic(), random()));
      }
    },
    packet: () => undefined,
    closed: stop,
  });
  try {
    await link.subscribe([...SHELVES.map((shelf) => `${base}/${shelf}`), topic]).catch((thrown: Error) => {
      throw refused(broker.url, topic, thrown.message);
    });
    log.info({ id }, 'this relay stands by');
    while (!over.signal.aborted) {
      take(tickLease(lease, clock.monotonic(), random()));
      await clock.sleep(TICK_MS, over.signal);
    }
  } finally {
    signal.removeEventListener('abort', stop);
    const last = turn as { end: AbortController; done: Promise<void> } | null;
    last?.end.abort();
    await last?.done.catch(() => undefined);
    // So the next relay need not wait for the Last Will.
    if (lease.state.kind === 'holding' && link.isOpen())
      await Promise.race([say(JSON.stringify(gone(id))), clock.sleep(2_000)]);
    await Promise.race([client.endAsync(), clock.sleep(2_000)]).catch(() => undefined);
    link.close();
  }
}

const refused = (url: string, topic: string, why: string) =>
  new AgentError({
    code: 'BrokerUnreachable',
    phase: 'report',
    message: `cannot take turns with other relays at the broker ${url}: it refuses ${topic} (${why}); allow this user to read and write there`,
  });
