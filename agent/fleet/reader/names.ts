/** Reads the names of a fleet's hosts from the index on the broker. */
import { isHostName } from '../../../manifests-schema/host-name.ts';
import type { Sha256 } from '../../core/payload/hash.ts';
import { SLICES, sliceOf } from '../../core/reporting/fleet-index.ts';
import type { Desk } from './desk.ts';

/** Number of messages in one portion. */
const PORTION = 50;
/** A portion that is much larger than expected may be incomplete. */
const FULL = 4 * PORTION;
/** Number of slices that are read first, to find how many fit into a portion. */
const TRIED = 8;
/** Standard deviations: fewer names than this are not by chance. */
const SIGMAS = 3;

export type Heard = false | { joined?: string; left?: string };

export interface Names {
  /** Keep the subscriptions to the index, to notice hosts that join or leave. */
  keep(): void;
  /** Takes one message of the index. @returns whether it is one, and the name that it adds or removes */
  heard(topic: string, payload: string): Heard;
  /** A name that arrives after all portions were complete shows that one of them was not. */
  isSettled(): boolean;
  /** Reads the whole index, and then again the portions that may be incomplete. */
  read(desk: Desk): Promise<void>;
  all(): string[];
}

/** @param base `<prefix>/<fleet>` */
export function createNames(base: string, sha256: Sha256): Names {
  const bySlice = new Map<string, Set<string>>(SLICES.map((slice) => [slice, new Set<string>()]));
  const countOf = (slices: readonly string[]) =>
    slices.reduce((sum, slice) => sum + (bySlice.get(slice)?.size ?? 0), 0);
  let isKept = false;
  let isReading = false;
  let isSettled = true;
  const take = (desk: Desk, slices: readonly string[], expected: number) =>
    desk.take({
      filters: slices.map((slice) => `${base}/index/${slice}/+`),
      expected: Math.min(expected, FULL),
      isKept,
    });

  /** Slices with far too few names, or so many that some may be missing, are read again in halves. */
  async function takeAgain(desk: Desk, slices: readonly string[], perSlice: number): Promise<void> {
    const known = countOf(slices);
    const expected = perSlice * slices.length;
    const isFull = known >= FULL;
    if (!isFull && known >= expected - SIGMAS * Math.sqrt(expected)) return;
    const half = slices.length >> 1;
    const parts = half > 0 ? [slices.slice(0, half), slices.slice(half)] : [slices];
    for (const part of parts) await take(desk, part, expected / parts.length);
    if (countOf(slices) > known) {
      desk.narrow();
      // A single slice is read again as long as a try brings new names.
      for (const part of parts) await takeAgain(desk, part, perSlice);
    } else if (half > 0) for (const part of parts) await takeAgain(desk, part, perSlice);
  }

  return {
    heard(topic, payload) {
      if (!topic.startsWith(`${base}/index/`)) return false;
      const [slice = '', host = ''] = topic.split('/').slice(-2);
      const known = bySlice.get(slice);
      if (payload === '') return known?.delete(host) ? { left: host } : {};
      // Accept only a name in its own slice with itself as the payload.
      if (payload !== host || !isHostName(host) || sliceOf(host, sha256) !== slice) return {};
      if (known === undefined || known.has(host)) return {};
      if (!isReading) isSettled = false;
      known.add(host);
      return { joined: host };
    },
    keep() {
      isKept = true;
    },
    isSettled: () => isSettled,
    async read(desk) {
      isReading = true;
      isSettled = true;
      const portions: string[][] = [];
      const rest: Promise<void>[] = [];
      for (let at = 0; at < SLICES.length; ) {
        const perSlice = countOf(SLICES.slice(0, Math.min(at, TRIED))) / Math.max(1, Math.min(at, TRIED));
        const many = at === 0 ? 1 : Math.max(1, Math.min(2 * at, Math.floor(PORTION / Math.max(1, perSlice))));
        const slices = SLICES.slice(at, at + many);
        portions.push(slices);
        const taken = take(desk, slices, at === 0 ? FULL : perSlice * slices.length);
        if (at < TRIED) await taken;
        else rest.push(taken);
        at += slices.length;
      }
      await Promise.all(rest);
      const perSlice = countOf(SLICES) / SLICES.length;
      for (const slices of portions) await takeAgain(desk, slices, perSlice);
      isReading = false;
    },
    all: () => [...bySlice.values()].flatMap((names) => [...names]),
  };
}
