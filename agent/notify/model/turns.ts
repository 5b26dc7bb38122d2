/** Decides which changes of hosts become messages, and when: once each, joined over hosts, and rate-limited. Pure except for the memory. */
import type { Occasion } from '../../../manifests-schema/notify.ts';
import { enqueue, type Group, type HostMemory, type Memory, type Message, notLaterThan } from './memory.ts';
import type { Sight } from './sight.ts';

export interface Rules {
  on: readonly Occasion[];
  /** Prefix of message ids, before a number. */
  prefix: string;
  /** Hosts are joined until none has come for `quietMs`, at most for `mostMs`. */
  quietMs: number;
  mostMs: number;
  /** An outage that passes by itself, and a host that went offline, are sent only if they last. */
  patienceMs: number;
  /** Time for which a host has to be well before the recovery is sent; doubled with each relapse. */
  steadyMs: number;
}

const MINUTE = 60_000;
export const HOST_RULES = { quietMs: 2_000, mostMs: 10_000, patienceMs: 5 * MINUTE, steadyMs: MINUTE };
export const FLEET_RULES = { quietMs: 15_000, mostMs: 90_000, patienceMs: 5 * MINUTE, steadyMs: MINUTE };

/** Pause before a cause is sent again for further hosts; it doubles up to `MOST_PAUSE_MS`. */
const PAUSE_MS = 10 * MINUTE;
const MOST_PAUSE_MS = 160 * MINUTE;
const MOST_STEADY_MS = 64 * MINUTE;
/** After this time a former trouble is forgotten. */
const FORGET_MS = 120 * MINUTE;
/** Number of remembered causes of one host; older ones may be sent again. */
const MAX_TOLD = 20;
const NAMED_HOSTS = 20;

/** Takes one observation of a host. */
export function see(memory: Memory, sight: Sight, rules: Rules, now: number): void {
  const known = memory.hosts[sight.host];
  if (sight.trouble === null) return;
  if (sight.trouble === 'none') {
    if (known === undefined) return;
    delete known.pending;
    if (known.told.length > 0) known.wellSince ??= now;
    else if (known.endedAt === undefined) delete memory.hosts[sight.host];
    return;
  }
  const host = known ?? { told: [], flaps: 0 };
  memory.hosts[sight.host] = host;
  const { key, trouble, brief } = sight;
  const isNews = rules.on.includes(trouble) && !host.told.includes(key);
  const fellBack = isNews && host.pending === undefined && host.endedAt !== undefined;
  if (host.wellSince !== undefined || fellBack) host.flaps++;
  delete host.wellSince;
  if (!isNews) {
    delete host.pending;
    if (host.told.length === 0 && host.endedAt === undefined) delete memory.hosts[sight.host];
    return;
  }
  host.pending = {
    key,
    trouble,
    brief,
    since: host.pending !== undefined && host.pending.key === key ? host.pending.since : now,
  };
}

/** A forgotten host is no longer reported. */
export function forget(memory: Memory, host: string): void {
  delete memory.hosts[host];
}

/** Queues the due messages. @returns ms until the next one, if nothing else is observed; null: none */
export function tick(memory: Memory, rules: Rules, now: number): number | null {
  notLaterThan(memory, now);
  const waits: number[] = [];
  tellTrouble(memory, rules, now, waits);
  tellRecovery(memory, rules, now, waits);
  for (const [name, { told, pending, endedAt }] of Object.entries(memory.hosts))
    if (told.length === 0 && pending === undefined && endedAt !== undefined && now - endedAt >= FORGET_MS)
      delete memory.hosts[name];
  for (const [key, { size, toldAt }] of Object.entries(memory.groups))
    if (size === 0 && now - (toldAt ?? 0) >= FORGET_MS) delete memory.groups[key];
  return waits.length === 0 ? null : Math.max(1, Math.min(...waits));
}

type Named = readonly [name: string, host: HostMemory];

function add(due: Map<string, Named[]>, key: string, named: Named): void {
  const hosts = due.get(key);
  if (hosts) hosts.push(named);
  else due.set(key, [named]);
}

function tellTrouble(memory: Memory, rules: Rules, now: number, waits: number[]): void {
  const due = new Map<string, Named[]>();
  for (const [name, host] of Object.entries(memory.hosts)) {
    const { pending } = host;
    if (pending === undefined) continue;
    const patience = pending.brief.turn === 'wait' || pending.trouble === 'offline' ? rules.patienceMs : 0;
    const left = pending.since + patience - now;
    if (left > 0) waits.push(left);
    else add(due, pending.key, [name, host]);
  }
  for (const [key, group] of Object.entries(memory.groups)) if (!due.has(key) && !isRecovery(key)) group.size = 0;
  for (const [key, hosts] of due) {
    const left = gather(memory, key, hosts.length, rules, now);
    if (left > 0) {
      waits.push(left);
      continue;
    }
    const group = memory.groups[key] as Group;
    enqueue(memory, troubleMessage(hosts, group.hosts > 0), rules.prefix);
    for (const [, host] of hosts) {
      host.told = [...host.told, key].slice(-MAX_TOLD);
      delete host.pending;
      delete host.endedAt;
    }
    close(group, hosts.length, now);
  }
}

function tellRecovery(memory: Memory, rules: Rules, now: number, waits: number[]): void {
  const due = new Map<string, Named[]>();
  for (const [name, host] of Object.entries(memory.hosts)) {
    if (host.wellSince === undefined) continue;
    const steady = Math.min(MOST_STEADY_MS, rules.steadyMs * 2 ** Math.min(host.flaps, 16));
    const left = host.wellSince + steady - now;
    const cause = host.told.at(-1) ?? '';
    if (left > 0) waits.push(left);
    else add(due, cause, [name, host]);
  }
  for (const [key, group] of Object.entries(memory.groups))
    if (isRecovery(key) && !due.has(key.slice(RECOVERY.length))) group.size = 0;
  for (const [cause, hosts] of due) {
    const key = `${RECOVERY}${cause}`;
    const left = gather(memory, key, hosts.length, rules, now);
    if (left > 0) {
      waits.push(left);
      continue;
    }
    for (const [, host] of hosts) {
      host.told = [];
      delete host.wellSince;
      host.endedAt = now;
    }
    close(memory.groups[key] as Group, hosts.length, now);
    if (!rules.on.includes('recovered')) continue;
    const rest = Object.values(memory.hosts).filter(({ told }) => told.at(-1) === cause).length;
    enqueue(memory, recoveryMessage(hosts, rest, now), rules.prefix);
  }
}

/** Prefix that no key of trouble has. */
const RECOVERY = 'recovered ';
const isRecovery = (key: string): boolean => key.startsWith(RECOVERY);

/** Counts hosts that wait for one message. @returns how long it waits for others, in ms */
function gather(memory: Memory, key: string, size: number, { quietMs, mostMs }: Rules, now: number): number {
  const group = memory.groups[key] ?? { first: now, last: now, size: 0, toldAt: null, times: 0, hosts: 0 };
  memory.groups[key] = group;
  if (group.size === 0) group.first = now;
  if (group.size !== size) group.last = now;
  group.size = size;
  if (group.toldAt === null || now - group.toldAt >= FORGET_MS)
    return Math.min(group.last + quietMs, group.first + mostMs) - now;
  return group.toldAt + Math.min(MOST_PAUSE_MS, PAUSE_MS * 2 ** Math.min(group.times - 1, 16)) - now;
}

function close(group: Group, hosts: number, now: number): void {
  const isAgain = group.toldAt !== null && now - group.toldAt < FORGET_MS;
  group.times = isAgain ? group.times + 1 : 1;
  group.hosts = isAgain ? group.hosts + hosts : hosts;
  group.toldAt = now;
  group.size = 0;
}

const namesOf = (hosts: readonly Named[]): string[] => hosts.map(([name]) => name).sort();

function troubleMessage(hosts: readonly Named[], isMore: boolean): Omit<Message, 'id'> {
  const names = namesOf(hosts);
  const pending = hosts.flatMap(([, { pending }]) => (pending ? [pending] : []));
  const [first] = pending as [(typeof pending)[number]];
  const counts = new Map<string, number>();
  for (const { brief } of pending) counts.set(brief.reason, (counts.get(brief.reason) ?? 0) + 1);
  const reasons = [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  const [example, typical] = hosts.find(([, { pending }]) => pending?.brief.reason === reasons[0]?.[0]) as Named;
  return {
    at: pending.map(({ brief }) => brief.at).sort()[0] as string,
    occasion: first.trouble,
    hosts: names.slice(0, NAMED_HOSTS),
    hostsTotal: names.length,
    ...(isMore ? { more: true as const } : {}),
    brief: typical.pending?.brief ?? null,
    example,
    ...(reasons.length > 1 ? { reasons: reasons.slice(0, 5) } : {}),
  };
}

function recoveryMessage(hosts: readonly Named[], left: number, now: number): Omit<Message, 'id'> {
  const names = namesOf(hosts);
  return {
    at: new Date(now).toISOString(),
    occasion: 'recovered',
    hosts: names.slice(0, NAMED_HOSTS),
    hostsTotal: names.length,
    ...(left > 0 ? { left } : {}),
    brief: null,
    example: '',
  };
}
