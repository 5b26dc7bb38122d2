/** A desk at the broker: hands out what is retained, in portions that fit its queue, and knows when a portion is whole. */
import { randomBytes } from 'node:crypto';
import { AgentError } from '../errors.ts';
import { type BrokerSettings, connectBroker } from '../system/mqtt.ts';

export interface DeskOptions {
  broker: BrokerSettings;
  prefix: string;
  fleet: string;
  /** Bytes of all messages together; more is no fleet. */
  maxBytes: number;
  /** A portion without a marker is whole when nothing more has come for this long. */
  quietMs: number;
  /** A marker comes back within this time, or the broker is called slow. */
  answerMs: number;
  /** All is over by then, whatever the broker does or leaves open. */
  timeoutMs: number;
  onMessage(topic: string, payload: string): void;
}

export interface Desk {
  /**
   * Whether the broker gives what is retained to a filter with a wildcard: some (RabbitMQ) do so for exact topics alone. null where
   * it cannot be told, since this user may not say anything.
   */
  givesToWildcards: boolean | null;
  /**
   * Has all that is retained under these filters handed to `onMessage`, as far as the broker gives it. Portions may be asked for
   * side by side. Throws AgentError `BrokerUnreachable`.
   */
  take(filters: readonly string[]): Promise<void>;
  /** Waits until nothing more comes. @returns false if something came: ends of portions were no ends, and are waited for from now on */
  settled(): Promise<boolean>;
  end(): void;
}

/** A status with all that it may hold is smaller. */
const MAX_PACKET_BYTES = 1024 * 1024;
const CONNECT_MS = 10_000;
/** So long a word of our own is waited for: a user may be allowed to listen, and not to speak. */
const ECHO_MS = 2_000;
/** Retained messages of our own, by which the broker shows in which order it sends; it forgets them by itself after a minute. */
const SAMPLES = 20;
const SAMPLE_SECONDS = 60;

/** Throws AgentError `BrokerUnreachable`. */
export async function openDesk(options: DeskOptions): Promise<Desk> {
  const { broker, maxBytes, quietMs, answerMs } = options;
  const word = randomBytes(6).toString('hex');
  const clientId = `fairlead-cli-${word}`;
  const replies = `${options.prefix}/${options.fleet}/replies/${word}`;
  const client = await connectBroker({ broker, clientId, timeoutMs: CONNECT_MS, maxPacketBytes: MAX_PACKET_BYTES });
  /** Word of ours → who waits for it. */
  const awaited = new Map<string, () => void>();
  const over = Promise.withResolvers<never>();
  over.promise.catch(() => undefined);
  const failed = (why: string) => over.reject(unreadable(broker.url, why));
  let bytes = 0;
  /** Retained messages that came, and when the last of them did. What hosts say meanwhile goes on for ever. */
  let retained = 0;
  let lastAt = 0;
  client.on('message', (topic, payload, packet) => {
    bytes += topic.length + payload.length;
    if (bytes > maxBytes)
      return failed(`it sent more than ${maxBytes} bytes; let each host publish its own status alone`);
    if (packet.retain) {
      retained++;
      lastAt = Date.now();
    }
    if (topic.startsWith(`${replies}/`)) return;
    if (topic === replies) return awaited.get(payload.toString('latin1'))?.();
    options.onMessage(topic, payload.toString('utf8'));
  });
  client.on('close', () => failed('it closed the connection'));
  const timer = setTimeout(() => failed(`it had not said all after ${options.timeoutMs / 1_000} s`), options.timeoutMs);
  const end = () => {
    clearTimeout(timer);
    client.end(true);
  };
  /** The library leaves what it could not send without an answer. */
  const inTime = <T>(work: Promise<T>): Promise<T> => Promise.race([work, over.promise]);
  const subscribe = (filters: readonly string[]) =>
    inTime(
      // QoS 0: no answer of ours is waited for, and a portion is small enough for every queue.
      client.subscribeAsync([...filters], { qos: 0 }).catch((thrown: unknown) => {
        const said = thrown instanceof Error ? thrown.message : String(thrown);
        throw unreadable(broker.url, `it does not let this user subscribe to ${filters[0]} (${said}); allow it there`);
      }),
    );

  let count = 0;
  /** Says a word, and hears it: all that was sent to us before it is here. @returns false if it does not come back in time */
  async function marked(ms: number, qos: 0 | 1): Promise<boolean> {
    const mark = `m${count++}`;
    let timer: NodeJS.Timeout | undefined;
    const back = new Promise<boolean>((resolve) => awaited.set(mark, () => resolve(true)));
    const late = new Promise<boolean>((resolve) => {
      timer = setTimeout(() => resolve(false), ms);
    });
    const refused = client.publishAsync(replies, mark, { qos }).then(
      () => back,
      () => false,
    );
    try {
      return await inTime(Promise.race([refused, late]));
    } finally {
      clearTimeout(timer);
      awaited.delete(mark);
    }
  }

  async function quiet(): Promise<void> {
    lastAt = Date.now();
    for (let left = quietMs; left > 0; left = lastAt + quietMs - Date.now()) {
      const wait = left;
      await inTime(new Promise((resolve) => setTimeout(resolve, wait)));
    }
  }

  /** Most brokers send what is retained before they look at what is said next. Whether this one does is seen by samples. */
  async function trial(): Promise<{ marks: boolean; givesToWildcards: boolean | null }> {
    try {
      await subscribe([replies]);
    } catch (thrown) {
      if (!client.connected) throw thrown;
      return { marks: false, givesToWildcards: null };
    }
    if (!(await marked(ECHO_MS, 1))) return { marks: false, givesToWildcards: null };
    const samples = Array.from({ length: SAMPLES }, (_, i) => `${replies}/sample/${i}`);
    const retain = (topic: string, payload: string) =>
      client.publishAsync(topic, payload, {
        ...{ qos: 1, retain: true },
        ...(client.options.protocolVersion === 5 ? { properties: { messageExpiryInterval: SAMPLE_SECONDS } } : {}),
      });
    try {
      await inTime(Promise.all(samples.map((topic) => retain(topic, 'x'))));
      await subscribe([`${replies}/sample/+`]);
      const isBack = await marked(answerMs, 0);
      const inOrder = retained;
      await quiet();
      return { marks: isBack && inOrder === retained, givesToWildcards: retained > 0 };
    } finally {
      await inTime(Promise.all(samples.map((topic) => retain(topic, '').catch(() => undefined))));
      client.unsubscribe(`${replies}/sample/+`);
    }
  }
  const { givesToWildcards, ...found } = await trial().catch((thrown: unknown) => {
    end();
    throw thrown;
  });
  let { marks } = found;

  return {
    givesToWildcards,
    async take(filters) {
      await subscribe(filters);
      if (!marks) await quiet();
      else if (!(await marked(answerMs, 0)))
        throw unreadable(broker.url, `it has not answered for ${answerMs / 1_000} s`);
      client.unsubscribe([...filters]);
    },
    async settled() {
      if (!marks) return true;
      const before = retained;
      await quiet();
      marks = retained === before;
      return marks;
    },
    end,
  };
}

export const unreadable = (url: string, why: string): AgentError =>
  new AgentError({
    code: 'BrokerUnreachable',
    phase: 'report',
    message: `cannot read the fleet from the broker ${url}: ${why}`,
  });
