/**
 * The memory of a notifier for one destination: what was sent about each host, and what is to be sent. Plain data, kept over
 * restarts. Pure.
 */
import type { Occasion, Trouble } from '../../../manifests-schema/notify.ts';
import type { Brief } from './sight.ts';

/** Times are milliseconds since 1970. */
export interface HostMemory {
  /** The last state of a host, and its changes that were not sent yet. */
  pending?: { key: string; trouble: Trouble; since: number; brief: Brief };
  /** Keys of the trouble that was sent since the last recovery; the newest last. Empty: no recovery has to be sent. */
  told: string[];
  /** Since when it has been well after trouble that was sent. */
  wellSince?: number;
  /** Number of relapses soon after a recovery: each makes the next recovery wait longer before it is sent. */
  flaps: number;
  /** When the recovery was sent. */
  endedAt?: number;
}

/** A trouble that several hosts have in common. */
export interface Group {
  /** When the first and the last waiting host came, and how many wait. */
  first: number;
  last: number;
  size: number;
  /** When it was last sent, how often, and for how many hosts in all. */
  toldAt: number | null;
  times: number;
  hosts: number;
}

/** One message to be sent. */
export interface Message {
  /** The same id at each try. */
  id: string;
  /** When it happened, ISO 8601. */
  at: string;
  occasion: Occasion;
  /** The first of the hosts, by name. */
  hosts: readonly string[];
  hostsTotal: number;
  /** For a recovery: how many of the hosts are still unwell. */
  left?: number;
  /** Other hosts were reported before for the same cause. */
  more?: true;
  /** The trouble, and the host that has it; null if all hosts are well again. */
  brief: Brief | null;
  example: string;
  /** Reasons with their number of hosts, the largest first; only if there are several. */
  reasons?: readonly (readonly [reason: string, hosts: number])[];
}

export interface Memory {
  schema: 1;
  hosts: Record<string, HostMemory>;
  groups: Record<string, Group>;
  queue: Message[];
  /** Number of messages that were dropped for newer ones since the last one that was sent. */
  dropped: number;
  /** Numbers the messages; `epoch` changes if the memory was lost. */
  next: number;
  epoch: string;
  /** Number of messages that may still be sent without a pause, and the time of that count. */
  budget: { left: number; at: number };
}

/** A channel gets at most this many messages at once, and one more in this time. */
export const BUDGET = { burst: 6, everyMs: 3 * 60_000 };
/** Age of the oldest waiting message. */
const MAX_QUEUE = 100;

export const emptyMemory = (now: number): Memory => ({
  schema: 1,
  hosts: {},
  groups: {},
  queue: [],
  dropped: 0,
  next: 1,
  epoch: now.toString(36),
  budget: { left: BUDGET.burst, at: now },
});

/** The clock may have been set back: a time in the future counts as now. */
export function notLaterThan(memory: Memory, now: number): void {
  for (const host of Object.values(memory.hosts)) {
    if (host.pending) host.pending.since = Math.min(host.pending.since, now);
    if (host.wellSince !== undefined) host.wellSince = Math.min(host.wellSince, now);
    if (host.endedAt !== undefined) host.endedAt = Math.min(host.endedAt, now);
  }
  for (const group of Object.values(memory.groups)) {
    group.first = Math.min(group.first, now);
    group.last = Math.min(group.last, now);
    if (group.toldAt !== null) group.toldAt = Math.min(group.toldAt, now);
  }
  memory.budget.at = Math.min(memory.budget.at, now);
}

export function enqueue(memory: Memory, message: Omit<Message, 'id'>, prefix: string): void {
  memory.queue.push({ id: `${prefix}-${memory.epoch}-${memory.next++}`, ...message });
  const surplus = memory.queue.length - MAX_QUEUE;
  if (surplus <= 0) return;
  memory.queue.splice(0, surplus);
  memory.dropped += surplus;
}

/** @returns the messages that may be sent now, as one; empty if none waits or may be sent; and when to call again */
export function sendable(memory: Memory, now: number): { messages: readonly Message[]; dueMs: number | null } {
  const { budget, queue } = memory;
  const earned = Math.floor((now - budget.at) / BUDGET.everyMs);
  if (earned > 0) {
    budget.left = Math.min(BUDGET.burst, budget.left + earned);
    budget.at = budget.left === BUDGET.burst ? now : budget.at + earned * BUDGET.everyMs;
  }
  if (queue.length === 0) return { messages: [], dueMs: null };
  if (budget.left === 0) return { messages: [], dueMs: budget.at + BUDGET.everyMs - now };
  // A few messages are sent one by one, as long as the limit allows; many become one message.
  return { messages: queue.length <= budget.left && queue.length <= 3 ? queue.slice(0, 1) : [...queue], dueMs: null };
}

/** They were sent. */
export function sent(memory: Memory, messages: readonly Message[]): void {
  remove(memory, messages);
  memory.budget.left = Math.max(0, memory.budget.left - 1);
  memory.dropped = 0;
}

/** They are given up. */
export function drop(memory: Memory, messages: readonly Message[]): void {
  remove(memory, messages);
  memory.dropped += messages.length;
}

function remove(memory: Memory, messages: readonly Message[]): void {
  const ids = new Set(messages.map(({ id }) => id));
  memory.queue = memory.queue.filter(({ id }) => !ids.has(id));
}
