/**
 * Reads the retained messages of a fleet: the names from the index, slice by slice, then the topics of each host, in windows. The
 * caller decides what to make of them: rows of a table, or of a page in a browser, which does not load the schemas.
 */
import type { Sha256 } from '../../core/payload/hash.ts';
import type { AgentError } from '../../errors.ts';
import { type Desk, openDesk, unreadable } from './desk.ts';
import type { BrokerLink } from './link.ts';
import { createNames } from './names.ts';
import { createRollCall, type RollCall } from './roll-call.ts';

export interface ReadingOptions {
  /** An open link without a listener. It is closed at the end. */
  link: BrokerLink;
  prefix: string;
  fleet: string;
  /** In hexadecimal digits. */
  sha256: Sha256;
  /** Random letters and digits, so that nobody else uses the topic `<prefix>/<fleet>/replies/<word>`. */
  word: string;
  /** Names from another source: only these are read. */
  hosts?: readonly string[];
  /** If the broker cannot list the hosts: for how long to listen for hosts that report; omitted: not at all. */
  rollCallMs?: number;
  /** Remedy if the broker cannot list the hosts, for the message; default: a flag of the command line. */
  howToName?: string;
  /** Silence after which a portion counts as complete, if the broker does not allow a mark at its end. */
  quietMs?: number;
  /** Longest wait for the next message: a broker may be slow, but something has to arrive. */
  timeoutMs?: number;
  /** Limit of the bytes of all messages together. */
  maxBytes?: number;
}

/** Receives the messages. */
export interface Taker {
  /** Called for each message that is not a name. */
  onMessage(topic: string, payload: string): void;
  /** Whether presence or status of this host is missing. */
  isUnread(host: string): boolean;
  /** Called for each name that appears or disappears. */
  onName?: ((heard: { joined?: string; left?: string }) => void) | undefined;
  onOver?: ((error: AgentError) => void) | undefined;
}

export interface KeptOptions extends ReadingOptions {
  /** To be subscribed to before the reading begins. */
  live?: readonly string[] | undefined;
}

export interface Kept {
  desk: Desk;
  /** Names of all hosts. Some may be unread, if the broker did not send them although it was asked three times. */
  names: ReadonlySet<string>;
  way: Way;
}

/** Source of the names. `roll-call`: hosts that reported during the reading. */
export type Way = 'index' | 'list' | 'roll-call';

/** Enough for tens of thousands of hosts, whose statuses have some kilobytes each. */
const MAX_BYTES = 256 * 1024 * 1024;
/** Number of hosts in a window, each with two topics. */
const WINDOW = 25;
/** Number of further requests for missing messages. */
const ASKED_AGAIN = 2;
const ANSWER_MS = 20_000;
const HOW_TO_NAME =
  'name them with --hosts FILE, a name in each line, or --repo DIR, or take those that report within a minute with --roll-call';

/** Leaves the connection open, and closes it only if something fails. Throws AgentError `BrokerUnreachable` */
export async function readKept(options: KeptOptions, taker: Taker): Promise<Kept> {
  const { quietMs = 200, timeoutMs = 60_000, maxBytes = MAX_BYTES, prefix, fleet, link, hosts, live } = options;
  const base = `${prefix}/${fleet}`;
  const names = createNames(base, options.sha256);
  let rollCall: RollCall | null = null;
  const desk = await openDesk({
    ...{ link, replies: `${base}/replies/${options.word}`, maxBytes, quietMs, timeoutMs, answerMs: ANSWER_MS },
    onMessage(topic, payload) {
      rollCall?.heard(topic);
      const heard = names.heard(topic, payload);
      if (heard) taker.onName?.(heard);
      else taker.onMessage(topic, payload);
    },
    ...(taker.onOver ? { onOver: taker.onOver } : {}),
  });
  try {
    const isUnlisted = hosts === undefined && desk.givesToWildcards === false;
    if (isUnlisted && options.rollCallMs === undefined)
      throw unreadable(
        link.url,
        `it gives retained messages to exact topics alone, so it cannot list the hosts; ${options.howToName ?? HOW_TO_NAME}`,
      );
    // In 3.1.1 a wildcard subscription brings all retained messages, more than fit: there the subscriptions of the reading stay.
    const isKept = live !== undefined && link.version === 4 && desk.givesToWildcards !== false;
    if (live) await desk.hear(isKept ? live.filter((filter) => filter.endsWith('/events')) : live);
    if (isKept) names.keep();
    const read = { desk, base, isUnread: taker.isUnread, isKept };
    if (isUnlisted) {
      rollCall = createRollCall(base);
      await desk.listen(rollCall.filters, options.rollCallMs ?? 0);
      await readHosts({ ...read, names: rollCall.names() });
    } else if (hosts !== undefined) await readHosts({ ...read, names: [...new Set(hosts)] });
    else {
      // If messages of some hosts were lost, names may be lost as well: read them again, in smaller portions.
      for (let width = Number.POSITIVE_INFINITY; desk.width() < width; ) {
        width = desk.width();
        await names.read(desk);
        const doneAt = Date.now();
        await readHosts({ ...read, names: names.all() });
        if (Date.now() - doneAt < quietMs) await desk.quiet();
        if (live === undefined && !names.isSettled() && desk.distrustMarks()) width = Number.POSITIVE_INFINITY;
      }
    }
  } catch (thrown) {
    await desk.end();
    throw thrown;
  }
  if (rollCall) return { desk, names: new Set(rollCall.names()), way: 'roll-call' };
  return { desk, names: new Set(hosts ?? names.all()), way: hosts === undefined ? 'index' : 'list' };
}

interface Hosts {
  desk: Desk;
  base: string;
  names: readonly string[];
  isUnread: Taker['isUnread'];
  isKept: boolean;
}

/** Topics of a host except its events. */
export const topicsOf = (base: string, host: string): string[] => [
  `${base}/hosts/${host}/presence`,
  `${base}/hosts/${host}/status`,
];

async function readHosts({ desk, base, names, isUnread, isKept }: Hosts): Promise<void> {
  const unread = (all: readonly string[]) => all.filter(isUnread);
  let left = unread(names);
  for (let size = WINDOW, inVain = -1; left.length > 0 && inVain < ASKED_AGAIN; size = Math.max(1, size >> 1)) {
    await Promise.all(
      inParts(left, size).map((window) => {
        const filters = window.flatMap((host) => topicsOf(base, host));
        return desk.take({ filters, expected: filters.length, isKept });
      }),
    );
    const still = unread(left);
    const isAgain = inVain >= 0;
    if (isAgain && still.length < left.length) desk.narrow();
    inVain = isAgain && still.length < left.length ? 0 : inVain + 1;
    left = still;
  }
}

const inParts = <T>(all: readonly T[], size: number): T[][] =>
  Array.from({ length: Math.ceil(all.length / size) }, (_, i) => all.slice(i * size, (i + 1) * size));
