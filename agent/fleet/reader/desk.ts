/** A desk at the broker: hands out what is retained, in portions that fit its queue, and knows when a portion is whole. */
import { AgentError } from '../../errors.ts';
import type { BrokerLink } from './link.ts';

export interface DeskOptions {
  link: BrokerLink;
  /** A topic of our own, on which what we say comes back to us. */
  replies: string;
  /** Limit of the bytes of all messages together. */
  maxBytes: number;
  /** A portion without a marker is whole when nothing more has come for this long. */
  quietMs: number;
  /** A marker comes back within this time, or the broker is called slow. */
  answerMs: number;
  /** If no portion becomes whole for this long, all is over, whatever the broker does or leaves open. */
  timeoutMs: number;
  onMessage(topic: string, payload: string): void;
  /** The connection has ended, or something else that makes an end of all that is under way. */
  onOver?(error: AgentError): void;
}

export interface Portion {
  filters: readonly string[];
  /** Messages that it will bring, as far as one can tell. */
  expected: number;
  /** What is said there later comes as well. */
  isKept?: boolean;
}

export interface Desk {
  /**
   * Whether the broker gives what is retained to a filter with a wildcard: some (RabbitMQ) do so for exact topics alone. null where
   * it cannot be told, since this user may not say anything.
   */
  readonly givesToWildcards: boolean | null;
  /** Messages that are under way at once. */
  width(): number;
  /** Half as many from now on: some of those that were under way got lost. */
  narrow(): void;
  /**
   * Has all that is retained under these filters handed to `onMessage`, as far as the broker gives it. Portions may be asked for
   * side by side: they wait here until there is room for them. Throws AgentError `BrokerUnreachable`.
   */
  take(portion: Portion): Promise<void>;
  /** What was taken for the end of a portion was none: ends are waited for from now on. @returns false if they were already */
  distrustMarks(): boolean;
  quiet(): Promise<void>;
  /** Has what is said under these filters from now on handed to `onMessage`; in version 5 without what is retained there. */
  hear(filters: readonly string[]): Promise<void>;
  /** The same, for so long: nothing has to come meanwhile. */
  listen(filters: readonly string[], ms: number): Promise<void>;
  /** All has been read. The connection stays, and nothing bounds what comes, or how long it goes on. */
  stay(): Promise<void>;
  /** Closes the connection. */
  end(): Promise<void>;
}

/** Messages that are asked for at once, in sum. Stock brokers keep a thousand for a client that does not keep up, and drop the others. */
const WIDTH = 400;
const MIN_WIDTH = 25;
/**
 * A broker that does not turn Nagle's algorithm off (RFC 896; mosquitto's `set_tcp_nodelay`) keeps a small packet back until the ones
 * before it are acknowledged, which this machine does after 40 ms (RFC 1122, 4.2.3.2), or when it sends something. So it sends
 * something that nobody hears and nobody answers.
 */
const NUDGE_MS = 1;
/** So long a word of our own is waited for: a user may be allowed to listen, and not to speak. */
const ECHO_MS = 2_000;
/** Retained messages of our own, by which the broker shows in which order it sends; it forgets them by itself after a minute. */
const SAMPLES = 20;
const SAMPLE_SECONDS = 60;
const QUIET_STEPS = 8;
/** To take back what we said, at the end. */
const GOODBYE_MS = 2_000;

/** Throws AgentError `BrokerUnreachable`. */
export async function openDesk(options: DeskOptions): Promise<Desk> {
  const { link, replies, maxBytes, quietMs, answerMs } = options;
  /** Word of ours → who waits for it. */
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
  /** Retained messages that came. What hosts say meanwhile goes on for ever. */
  let retained = 0;
  /** What we say comes back to us, when all before it has. */
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
  /** The library leaves what it could not send without an answer. */
  const inTime = <T>(work: Promise<T>): Promise<T> => Promise.race([work, over.promise]);
  const subscribe = (filters: readonly string[], how = { retained: true }) =>
    inTime(
      // QoS 0: no answer of ours is waited for, and what is under way is small enough for every queue.
      link.subscribe(filters, how).catch((thrown: unknown) => {
        if (!link.isOpen()) return over.promise;
        const said = thrown instanceof Error ? thrown.message : String(thrown);
        throw unreadable(link.url, `it does not let this user subscribe to ${filters[0]} (${said}); allow it there`);
      }),
    );

  let count = 0;
  /** Says a word, and hears it: all that was sent to us before it is here. @returns false if it does not come back in time */
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

  /** In steps, since what came while this process was held up is seen only when it goes on. */
  async function quiet(): Promise<void> {
    let came = retained;
    for (let calm = 0; calm < QUIET_STEPS; calm = came === retained ? calm + 1 : 0) {
      came = retained;
      await inTime(new Promise((resolve) => setTimeout(resolve, quietMs / QUIET_STEPS)));
    }
  }

  let cleared: Promise<unknown> = Promise.resolve();
  /** Most brokers send what is retained before they look at what is said next. Whether this one does is seen by samples. */
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
  /** What is larger than all room there is goes alone. */
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
        // What came while this process was held up is here before a word of our own comes back.
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
