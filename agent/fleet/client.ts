/** Reads a fleet from what its broker retains: the names by the index, slice by slice, then each host's topics, in windows. */
import { createHash } from 'node:crypto';
import { isHostName } from '../../manifests-schema/agent-config.ts';
import { SLICES, sliceOf } from '../core/fleet-index.ts';
import type { BrokerSettings } from '../system/mqtt.ts';
import { type Desk, openDesk, unreadable } from './desk.ts';
import { type FleetRow, foldMessage, isPartial, notDelivered, sortRows } from './model.ts';

export interface ReadFleetOptions {
  broker: BrokerSettings;
  prefix: string;
  fleet: string;
  /** Names from elsewhere: each of these is asked for, and nobody else. */
  hosts?: readonly string[];
  /** Nothing more comes if nothing has for this long. Asked twice; at each portion where the broker lets nobody mark its end. */
  quietMs?: number;
  /** To be read by then. */
  timeoutMs?: number;
  /** Bytes of all messages together; more is no fleet. */
  maxBytes?: number;
}

export interface FleetReading {
  rows: FleetRow[];
  /** Where the names come from: the index on the broker, or a list. Of hosts that are in neither nothing is known. */
  way: 'index' | 'list';
}

/** A status has some kilobytes: room for tens of thousands of hosts. */
const MAX_BYTES = 256 * 1024 * 1024;
/** Messages that are asked for at once. Stock brokers keep a thousand for a client that does not keep up, and drop the others. */
const PORTION = 100;
/** What came in one portion that was meant to be much smaller may not be all. */
const FULL = 2 * PORTION;
/** Portions that are under way at the same time. */
const SIDE_BY_SIDE = 2;
/** Standard deviations, of a portion and of the mean that is known so far: fewer names than that are no chance. */
const SIGMAS = 3;
/** So often what did not come is asked for again in vain. */
const ASKED_AGAIN = 2;
const ANSWER_MS = 20_000;

/**
 * Every host that stands in the index, or in `hosts`, has a row; what its broker did not give is said in that row.
 * Throws AgentError `BrokerUnreachable`, also where only a part could be read.
 */
export async function readFleet(options: ReadFleetOptions): Promise<FleetReading> {
  const { quietMs = 200, timeoutMs = 60_000, maxBytes = MAX_BYTES, prefix, fleet, broker } = options;
  const base = `${prefix}/${fleet}`;
  const names = new Set<string>();
  let told = 0;
  const rows = new Map<string, FleetRow>();
  const desk = await openDesk({
    ...{ broker, prefix, fleet, maxBytes, quietMs, timeoutMs, answerMs: ANSWER_MS },
    onMessage(topic, payload) {
      const name = topic.startsWith(`${base}/index/`) ? nameIn(topic, payload) : null;
      if (name !== null) told++;
      if (name !== null) names.add(name);
      else foldMessage(rows, topic, payload);
    },
  });
  try {
    // Where what was taken for the end of a portion was none, it is read once more, with more patience.
    if (options.hosts === undefined)
      do await readNames({ desk, base, names, told: () => told, url: broker.url });
      while (!(await desk.settled()));
    else for (const host of options.hosts) names.add(host);
    await readHosts({ desk, base, names: [...names].sort(), rows });
  } finally {
    desk.end();
  }
  // A live message of somebody else may have come meanwhile.
  for (const host of rows.keys()) if (!names.has(host)) rows.delete(host);
  return { rows: sortRows(rows), way: options.hosts === undefined ? 'index' : 'list' };
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** A host may write its own name into its own slice, and nothing else is believed. */
function nameIn(topic: string, payload: string): string | null {
  const [slice = '', host = ''] = topic.split('/').slice(-2);
  return payload === host && isHostName(host) && sliceOf(host, sha256) === slice ? host : null;
}

interface Names {
  desk: Desk;
  base: string;
  names: Set<string>;
  /** How many names came so far, those that came twice counted twice. */
  told(): number;
  url: string;
}

/**
 * The slices are even, so those before tell how many names a portion brings. One that brings far fewer met a queue that is too
 * short for it, and one that brings far more may have; both are taken again in halves.
 */
async function readNames({ desk, base, names, told, url }: Names): Promise<void> {
  if (desk.givesToWildcards === false)
    throw unreadable(
      url,
      'it gives retained messages to exact topics alone, so it cannot list the hosts; name them with --hosts FILE, a name in each line',
    );
  const take = async (slices: readonly string[], expected: number): Promise<void> => {
    const before = told();
    const known = names.size;
    await desk.take(slices.map((slice) => `${base}/index/${slice}/+`));
    const came = told() - before;
    const isFull = came >= FULL;
    if (!isFull && came >= expected - SIGMAS * Math.sqrt(expected + expected ** 2 / Math.max(1, before))) return;
    const half = slices.length >> 1;
    if (half > 0)
      for (const part of [slices.slice(0, half), slices.slice(half)])
        await take(part, (expected * part.length) / slices.length);
    // One slice alone: what did not fit comes with the next try, as long as one brings anything new.
    else if (isFull && names.size > known) await take(slices, 0);
  };
  for (let at = 0; at < SLICES.length; ) {
    const perSlice = at === 0 ? PORTION : names.size / at;
    // The more slices are known, the better is the mean: none is relied on for more than twice of what it comes from.
    const many = Math.max(1, Math.min(64, 2 * at, Math.floor(PORTION / Math.max(1, perSlice))));
    const slices = SLICES.slice(at, at + many);
    await take(slices, at === 0 ? 0 : perSlice * slices.length);
    at += many;
  }
}

interface Hosts {
  desk: Desk;
  base: string;
  names: readonly string[];
  rows: Map<string, FleetRow>;
}

async function readHosts({ desk, base, names, rows }: Hosts): Promise<void> {
  let left = names;
  for (let size = PORTION / 2, inVain = 0; left.length > 0 && inVain <= ASKED_AGAIN; size = Math.max(1, size >> 1)) {
    const windows = inParts(left, size).values();
    const work = async () => {
      for (const window of windows)
        await desk.take(window.flatMap((host) => [`${base}/hosts/${host}/presence`, `${base}/hosts/${host}/status`]));
    };
    await Promise.all(Array.from({ length: SIDE_BY_SIDE }, work));
    const still = left.filter((host) => isPartial(rows.get(host)));
    inVain = still.length === left.length ? inVain + 1 : 0;
    left = still;
  }
  for (const host of left) rows.set(host, notDelivered(host, rows.get(host)));
}

const inParts = <T>(all: readonly T[], size: number): T[][] =>
  Array.from({ length: Math.ceil(all.length / size) }, (_, i) => all.slice(i * size, (i + 1) * size));
