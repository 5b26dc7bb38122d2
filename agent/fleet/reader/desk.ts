/** Reads retained messages from the broker in portions that fit its queue for a client, and knows when a portion is complete. */
import { AgentError } from '../../errors.ts';
import type { BrokerLink } from './link.ts';

export interface DeskOptions {
  link: BrokerLink;
  /** A topic of our own, on which our messages return to us. */
  replies: string;
  /** Limit of the bytes of all messages together. */
  maxBytes: number;
  /** A portion without a marker is complete when no further message has arrived for this long. */
  quietMs: number;
  /** A marker returns within this time, otherwise the broker counts as slow. */
  answerMs: number;
  /** If no portion is completed for this long, the reading fails, whatever the broker does. */
  timeoutMs: number;
  onMessage(topic: string, payload: string): void;
  /** The connection has ended, or another error ends everything in progress. */
  onOver?(error: AgentError): void;
}

export interface Portion {
  filters: readonly string[];
  /** The number of messages that it will bring, as far as it is known. */
  expected: number;
  /** Later messages on these topics arrive as well. */
  isKept?: boolean;
}

export interface Desk {
  /**
   * Whether the broker sends retained messages to a filter with a wildcard: some (RabbitMQ) send them to exact topics only. null
   * if that is unknown, because this user may not publish.
   */
  readonly givesToWildcards: boolean | null;
  /** Number of messages that may be outstanding. */
  width(): number;
  /** Halves that number, because outstanding messages were lost. */
  narrow(): void;
  /**
   * Passes all retained messages under these filters to `onMessage`, as far as the broker sends them. Concurrent portions wait
   * here until there is room for them. Throws AgentError `BrokerUnreachable`.
   */
  take(portion: Portion): Promise<void>;
  /** A marker did not prove the end of a portion: from now on ends are waited for. @returns false if they were already */
  distrustMarks(): boolean;
  quiet(): Promise<void>;
  /** Passes later messages under these filters to `onMessage`; in version 5 without the retained ones. */
  hear(filters: readonly string[]): Promise<void>;
  /** The same for a time of listening, in which nothing has to arrive. */
  listen(filters: readonly string[], ms: number): Promise<void>;
  /** Everything has been read. The connection stays, without limits on the number of messages or on time. */
  stay(): Promise<void>;
  /** Closes the connection. */
  end(): Promise<void>;
}

/**
 * Number of messages that are requested at once, over all portions. Stock brokers queue a thousand for a slow client, and drop
 * the others.
 */
const WIDTH = 400;
const MIN_WIDTH = 25;
/**
 * A broker that does not turn Nagle's algorithm off (RFC 896; mosquitto's `set_tcp_nodelay`) delays a small packet until the ones
 * before it are acknowledged, which this machine does after 40 ms (RFC 1122, 4.2.3.2), or when it sends something. So it sends a
 * message without a receiver and without an answer.
 */
const NUDGE_MS = 1;
/** Time to wait for a message of our own: a user may be allowed to subscribe, and not to publish. */
const ECHO_MS = 2_000;
/** Retained messages of our own, which show in which order the broker sends; they expire after a minute. */
const SAMPLES = 20;
const SAMPLE_SECONDS = 60;
const QUIET_STEPS = 8;
/** For deleting what we published, at the end. */
const GOODBYE_MS = 2_000;

/** Throws AgentError `BrokerUnreachable`. */
export async function openDesk(options: DeskOptions): Promise<Desk> {
  const { link, replies, maxBytes, quietMs, answerMs } = options;
  /** Message of ours → its waiter. */
  const awaited = new Map<string, () => void>();
  const over = Promise.withResolvers<never>();
  over.promise.catch(() => undefined);
  let isStaying = false;
  const failed = (why: string) => {
    const error = unreadable(link.url, why);
    over.reject(error);
    options.onOver?.(error);
  };
  let bytes = 0;
  let samples = 0;
  /** Retained messages that arrived. Hosts may publish without end meanwhile. */
  let retained = 0;
  /** Whether our messages return to us only after everything before them. */
  let marks = false;
  let isNudgeDue = false;
  link.listen({
    message({ topic, payload, bytes: size, isRetained }) {
      bytes += size;
      if (bytes > maxBytes && !isStaying)
        return failed(`it sent more than ${maxBytes} bytes; let each host publish its own status alone`);
      if (isRetained) retained++;
      if (topic === replies) awaited.get(payload)?.();
      else if (topic.startsWith(`${replies}/`)) samples += isRetained ? 1 : 0;
      else options.onMessage(topic, payload);
    },
    packet() {
      if (!marks || isNudgeDue) return;
      isNudgeDue = true;
      setTimeout(() => {
        isNudgeDue = false;
        if (link.isOpen()) link.publish(`${replies}/nudge`, '', { qos: 0 }).catch(() => undefined);
      }, NUDGE_MS);
    },
    closed: () => failed('it closed the connection'),
  });
  const patience = () =>
    setTimeout(() => failed(`it sent nothing more; given up after ${options.timeoutMs / 1_000} s`), options.timeoutMs);
  let timer = patience();
  /** The library gives no answer for messages that it could not send. */
  const inTime = <T>(work: Promise<T>): Promise<T> => Promise.race([work, over.promise]);
  const subscribe = (filters: readonly string[], how = { retained: true }) =>
    inTime(
      // QoS 0: we send no acknowledgements, and the outstanding messages fit into every queue.
      link.subscribe(filters, how).catch((thrown: unknown) => {
        if (!link.isOpen()) return over.promise;
        const said = thrown instanceof Error ? thrown.message : String(thrown);
        throw unreadable(link.url, `it does not let this user subscribe to ${filters[0]} (${said}); allow it there`);
      }),
    );

  let count = 0;
  /**
   * Publishes a message and waits for its return: then everything that was sent to us before it is here.
   * @returns false if it does not return in time
   */
  async function marked(ms: number, qos: 0 | 1): Promise<boolean> {
    const mark = `m${count++}`;
    let late: ReturnType<typeof setTimeout> | undefined;
    try {
      return await inTime(
        new Promise<boolean>((resolve) => {
          awaited.set(mark, () => resolve(true));
          late = setTimeout(() => resolve(false), ms);
          link.publish(replies, mark, { qos }).catch(() => resolve(false));
        }),
      );
    } finally {
      clearTimeout(late);
      awaited.delete(mark);
    }
  }

  /** In steps, because messages that arrived while this process was blocked are seen only when it continues. */
  async function quiet(): Promise<void> {
    let came = retained;
    for (let calm = 0; calm < QUIET_STEPS; calm = came === retained ? calm + 1 : 0) {
      came = retained;
      await inTime(new Promise((resolve) => setTimeout(resolve, quietMs / QUIET_STEPS)));
    }
  }

  let cleared: Promise<unknown> = Promise.resolve();
  /** Most brokers send retained messages before they process the next packet. Samples show whether this one does. */
  async function trial(): Promise<{ marks: boolean; givesToWildcards: boolean | null }> {
    try {
      await subscribe([replies]);
    } catch (thrown) {
      if (!link.isOpen()) throw thrown;
      return { marks: false, givesToWildcards: null };
    }
    if (!(await marked(ECHO_MS, 1))) return { marks: false, givesToWildcards: null };
    const topics = Array.from({ length: SAMPLES }, (_, i) => `${replies}/sample/${i}`);
    const retain = (topic: string, payload: string) =>
      link.publish(topic, payload, { qos: 1, retain: true, expirySeconds: SAMPLE_SECONDS });
    try {
      await inTime(Promise.all(topics.map((topic) => retain(topic, 'x'))));
      await subscribe([`${replies}/sample/+`]);
      const isBack = await marked(answerMs, 0);
      // All of them are here, so none comes after the marker.
      const marks = isBack && samples === SAMPLES;
      if (!marks) await quiet();
      return { marks, givesToWildcards: samples > 0 };
    } finally {
      cleared = Promise.all(topics.map((topic) => retain(topic, ''))).catch(() => undefined);
      link.unsubscribe([`${replies}/sample/+`]);
    }
  }

  async function goodbye(): Promise<void> {
    let late: ReturnType<typeof setTimeout> | undefined;
    const enough = new Promise((resolve) => {
      late = setTimeout(resolve, GOODBYE_MS);
    });
    await inTime(Promise.race([cleared, enough])).catch(() => undefined);
    clearTimeout(late);
  }
  async function end(): Promise<void> {
    isStaying = true;
    clearTimeout(timer);
    marks = false;
    await goodbye();
    link.close();
  }
  const found = await trial().catch(async (thrown: unknown) => {
    await end();
    throw thrown;
  });
  marks = found.marks;

  let width = WIDTH;
  let underWay = 0;
  const waiting: { size: number; go(): void }[] = [];
  /** A portion that is larger than all of the room goes alone. */
  function admit(): void {
    for (let next = waiting[0]; next && (underWay === 0 || underWay + next.size <= width); next = waiting[0]) {
      waiting.shift();
      underWay += next.size;
      next.go();
    }
  }

  return {
    givesToWildcards: found.givesToWildcards,
    width: () => width,
    narrow() {
      width = Math.max(MIN_WIDTH, width >> 1);
    },
    async take({ filters, expected, isKept = false }) {
      const size = Math.max(1, expected);
      await inTime(
        new Promise<void>((go) => {
          waiting.push({ size, go });
          admit();
        }),
      );
      await subscribe(filters);
      if (!marks) await quiet();
      else if (!(await marked(answerMs, 0)))
        throw unreadable(link.url, `it has not answered for ${answerMs / 1_000} s`);
      if (!isKept) link.unsubscribe(filters);
      underWay -= size;
      clearTimeout(timer);
      if (!isStaying) timer = patience();
      admit();
    },
    distrustMarks() {
      const were = marks;
      marks = false;
      return were;
    },
    quiet,
    hear: async (filters) => (filters.length > 0 ? subscribe(filters, { retained: false }) : undefined),
    async listen(filters, ms) {
      clearTimeout(timer);
      let done: ReturnType<typeof setTimeout> | undefined;
      try {
        await subscribe(filters, { retained: false });
        await inTime(
          new Promise((resolve) => {
            done = setTimeout(resolve, ms);
          }),
        );
        // Messages that arrived while this process was blocked are here before a message of our own returns.
        await marked(ECHO_MS, 1);
        link.unsubscribe(filters);
      } finally {
        clearTimeout(done);
        timer = patience();
      }
    },
    async stay() {
      clearTimeout(timer);
      isStaying = true;
      await goodbye();
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
