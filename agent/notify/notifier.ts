/**
 * Sends notifications: observes hosts, and sends messages to each destination until it has accepted them. A waiting message is
 * stored by `keep` before it is sent, so that a host that was offline, or an agent that was killed, sends it later.
 */
import type { Destination } from '../../manifests-schema/notify.ts';
import type { ReasonCode } from '../../manifests-schema/reasons.ts';
import type { Problem } from '../core/types.ts';
import type { Log } from '../log.ts';
import { type Clock, endsWithin } from '../system/clock.ts';
import type { Delivery } from './deliver.ts';
import { drop, emptyMemory, type Memory, type Message, sendable, sent } from './model/memory.ts';
import { OWN_PROBLEM, type Sight } from './model/sight.ts';
import type { Parcel } from './model/text.ts';
import { forget, type Rules, see, tick } from './model/turns.ts';

/** The memories that survive a restart, by the name of the destination. */
export interface Keeper {
  load(): Readonly<Record<string, Memory>>;
  /** Durable when it returns, or resolves. May throw if the disk is full; then it is tried again with the next change. */
  save(memories: Readonly<Record<string, Memory>>): void | Promise<void>;
}

export interface NotifierOptions {
  destinations: readonly Destination[];
  fleet: string;
  /** Prefix of message ids, before a number; different for each agent. */
  prefix: string;
  rules: Omit<Rules, 'on' | 'prefix'>;
  deliver(destination: Destination): (parcel: Parcel, signal: AbortSignal) => Promise<Delivery>;
  keep: Keeper;
  clock: Clock;
  random(): number;
  log: Log;
  /** Called if the result of `problems` has changed. */
  problemsChanged(): void;
}

export interface Notifier {
  start(): void;
  /** Takes the newest observation of each host. */
  see(sights: readonly Sight[]): void;
  /** Hosts that were forgotten. */
  forget(hosts: readonly string[]): void;
  /** Problems of destinations. */
  problems(): readonly Problem[];
  /** Resolves when all messages that are due soon have been sent, or after `ms`. */
  flushed(ms: number): Promise<void>;
  /** Resolves when the message in progress was accepted, or after 3 s. */
  stop(): Promise<void>;
}

const FIRST_WAIT_MS = 10_000;
const LONGEST_OUTAGE_MS = 5 * 60_000;
/** Pause if somebody has to change something first. */
const FIRST_REFUSED_MS = 60_000;
const LONGEST_REFUSED_MS = 60 * 60_000;
/** Number of tries of a message that the destination refuses. */
const UNFIT_TRIES = 3;
/** Time for which a stop waits for the request in progress, in ms. */
const GRACE_MS = 3_000;
/** Longest wait for messages of the same moment. */
const SOON_MS = 3_000;
/** A single failed try is not reported. */
const TOLD_FAILURES = 2;

interface Channel {
  name: string;
  rules: Rules;
  memory: Memory;
  deliver(parcel: Parcel, signal: AbortSignal): Promise<Delivery>;
  failures: number;
  unfit: number;
  problem: Problem | null;
  wake: AbortController;
  /** A message is due soon. */
  isBusy: boolean;
}

export function createNotifier(options: NotifierOptions): Notifier {
  const { clock, log, keep } = options;
  const stopper = new AbortController();
  /** Aborts the request under way. */
  const cutter = new AbortController();
  const names = namesOf(options.destinations);
  const kept = keep.load();
  const channels = options.destinations.map((destination, at): Channel => {
    const name = names[at] ?? '';
    return {
      name,
      rules: { ...options.rules, on: destination.on, prefix: options.prefix },
      memory: kept[name] ?? emptyMemory(clock.now().getTime()),
      deliver: options.deliver(destination),
      ...{ failures: 0, unfit: 0, problem: null, wake: new AbortController(), isBusy: true },
    };
  });
  let idle: (() => void)[] = [];
  let saved = JSON.stringify(kept);
  let work: Promise<unknown> = Promise.resolve();

  async function save(): Promise<void> {
    const memories = Object.fromEntries(channels.map(({ name, memory }) => [name, memory]));
    const text = JSON.stringify(memories);
    if (text === saved) return;
    try {
      await keep.save(memories);
      saved = text;
    } catch (thrown) {
      log.warn(
        { error: thrown instanceof Error ? thrown.message : String(thrown) },
        'messages of notify cannot be stored',
      );
    }
  }

  /** Sends the messages that may be sent. @returns ms until the next one; null: after the next observation */
  async function turn(channel: Channel): Promise<number | null> {
    const { memory } = channel;
    const now = clock.now();
    const next = tick(memory, channel.rules, now.getTime());
    await save();
    if (stopper.signal.aborted) return null;
    const { messages, dueMs } = sendable(memory, now.getTime());
    const [first] = messages;
    if (first === undefined) return least(next, dueMs);
    const id = messages.length === 1 ? first.id : `${first.id}-${messages.length}`;
    const parcel = { id, fleet: options.fleet, messages, dropped: memory.dropped, now };
    channel.isBusy = true;
    const delivery = await channel.deliver(parcel, cutter.signal);
    if (delivery.kind === 'done') {
      sent(memory, messages);
      await save();
      log.info({ destination: channel.name, messages: messages.length }, 'people were notified');
      settle(channel, null);
      channel.failures = 0;
      channel.unfit = 0;
      return 0;
    }
    return stopper.signal.aborted ? null : failed(channel, delivery, messages);
  }

  /** @returns ms until the next try */
  async function failed(
    channel: Channel,
    { kind, why, retryAfterMs }: Exclude<Delivery, { kind: 'done' }>,
    messages: readonly Message[],
  ): Promise<number> {
    const { name, memory } = channel;
    channel.failures++;
    channel.unfit = kind === 'unfit' ? channel.unfit + 1 : 0;
    if (channel.unfit >= UNFIT_TRIES) {
      log.warn(
        { destination: name, messages: messages.length },
        `${name} does not take a message, which is dropped: ${why}`,
      );
      drop(memory, messages);
      channel.unfit = 0;
      await save();
    }
    const [firstMs, mostMs] =
      kind === 'refused' ? [FIRST_REFUSED_MS, LONGEST_REFUSED_MS] : [FIRST_WAIT_MS, LONGEST_OUTAGE_MS];
    const backoffMs =
      Math.min(mostMs, firstMs * 2 ** Math.min(channel.failures - 1, 16)) * (0.75 + options.random() / 2);
    const waitMs = Math.min(LONGEST_REFUSED_MS, Math.max(backoffMs, retryAfterMs ?? 0));
    const reason: ReasonCode = kind === 'again' ? 'NotifyUnreachable' : 'NotifyRefused';
    const fix = kind === 'again' ? '' : `; check \`notify\` in the settings`;
    const message = `cannot notify ${name}: ${why}${fix}; tried again in ${Math.round(waitMs / 1_000)} s`;
    if (channel.failures === 1 || channel.problem?.reason !== reason) log.warn({ destination: name, reason }, message);
    if (channel.failures >= TOLD_FAILURES)
      settle(channel, { id: OWN_PROBLEM, reason, message, file: null, line: null });
    return waitMs;
  }

  function settle(channel: Channel, problem: Problem | null): void {
    const isOther = channel.problem?.reason !== problem?.reason;
    channel.problem = problem;
    if (isOther) options.problemsChanged();
  }

  async function run(channel: Channel): Promise<void> {
    let retryAt = 0;
    while (!stopper.signal.aborted) {
      channel.wake = new AbortController();
      const backoffMs = retryAt - clock.monotonic();
      const failures = channel.failures;
      // Changes that are observed during a pause are recorded, and sent after it.
      const waitMs = backoffMs > 0 ? least(backoffMs, await look(channel)) : await turn(channel);
      if (channel.failures > failures) retryAt = clock.monotonic() + (waitMs ?? 0);
      if (waitMs === 0) continue;
      channel.isBusy = waitMs !== null && waitMs <= SOON_MS;
      if (!channels.some(({ isBusy }) => isBusy)) for (const resolve of idle.splice(0)) resolve();
      const wait = AbortSignal.any([stopper.signal, channel.wake.signal]);
      if (waitMs === null) await woken(wait);
      else await clock.sleep(Math.min(waitMs, LONGEST_REFUSED_MS), wait);
    }
  }

  async function look(channel: Channel): Promise<number | null> {
    const next = tick(channel.memory, channel.rules, clock.now().getTime());
    await save();
    return next;
  }

  return {
    start() {
      work = Promise.all(channels.map(run));
      work.catch((thrown: unknown) =>
        log.error(
          { error: thrown instanceof Error ? thrown.stack : String(thrown) },
          'no notifications are sent any more: a bug',
        ),
      );
    },
    see(sights) {
      const now = clock.now().getTime();
      for (const channel of channels) {
        for (const sight of sights) see(channel.memory, sight, channel.rules, now);
        channel.isBusy = true;
        channel.wake.abort();
      }
    },
    forget(hosts) {
      for (const { memory } of channels) for (const host of hosts) forget(memory, host);
    },
    problems: () => channels.flatMap(({ problem }) => (problem === null ? [] : [problem])),
    async flushed(ms) {
      if (!channels.some(({ isBusy }) => isBusy)) return;
      await endsWithin(ms, new Promise<void>((resolve) => idle.push(resolve)), clock);
      idle = [];
    },
    async stop() {
      stopper.abort();
      // An accepted message must not be sent again by the next notifier.
      const ended = work.catch(() => undefined);
      if (!(await endsWithin(GRACE_MS, ended, clock))) cutter.abort();
      await ended;
      await save();
    },
  };
}

const least = (one: number | null, other: number | null): number | null =>
  one === null ? other : other === null ? one : Math.min(one, other);

const woken = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });

/** Name of a destination in logs and status, and the key of its memory; contains no secret. */
export function namesOf(destinations: readonly Destination[]): string[] {
  const counts = new Map<string, number>();
  return destinations.map(({ format, url, urlFile, to, room }) => {
    const place = urlFile ?? URL.parse(url ?? '')?.host ?? '';
    const name = `${format} (${[place, ...(room ? [room] : []), ...(to ? [to.join(', ')] : [])].join(' ')})`;
    const count = (counts.get(name) ?? 0) + 1;
    counts.set(name, count);
    return count === 1 ? name : `${name} #${count}`;
  });
}
