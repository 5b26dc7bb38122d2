/** The lease of relays: exactly one works, whichever dies at any time, and whatever happens to its Last Will. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  createLease,
  gone,
  hear,
  type Lease,
  type LeaseStep,
  type LeaseWord,
  leaseWordOf,
  tickLease,
} from '../../../agent/fleet/relay/lease.ts';
import '../../property.ts';

const STEP_MS = 500;

interface Relay {
  lease: Lease;
  isHolder: boolean;
  /** Messages on their way to this relay. */
  inbox: { at: number; word: LeaseWord }[];
}

/** A broker with one topic, and relays that start, work and die. */
function world(seed: number) {
  let now = 0;
  let count = 0;
  let state = seed;
  const random = () => {
    // mulberry32
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  let retained: LeaseWord | null = null;
  const relays = new Map<string, Relay>();
  /** Messages in the order in which they arrive at the broker. */
  let wires: { at: number; word: LeaseWord }[] = [];
  const publish = (word: LeaseWord, delayMs: number) => wires.push({ at: now + delayMs, word });
  const take = (relay: Relay, { say, turn }: LeaseStep) => {
    if (turn !== null) relay.isHolder = turn === 'held';
    if (say !== null) publish(say, random() * 200);
  };
  const holders = () => [...relays.values()].filter(({ isHolder }) => isHolder);
  return {
    now: () => now,
    holders,
    alive: () => [...relays.keys()],
    join() {
      const id = `r${count++}`;
      const relay: Relay = { lease: createLease(id, now, random()), isHolder: false, inbox: [] };
      if (retained !== null) relay.inbox.push({ at: now + random() * 200, word: retained });
      relays.set(id, relay);
    },
    /** @param willMs the time until the broker notices; null: the Last Will is lost */
    die(id: string, willMs: number | null) {
      relays.delete(id);
      if (willMs !== null) publish(gone(id), willMs);
    },
    pass(ms: number, each: () => void = () => undefined) {
      for (const end = now + ms; now < end; now += STEP_MS) {
        const due = wires.filter(({ at }) => at <= now).sort((a, b) => a.at - b.at);
        wires = wires.filter(({ at }) => at > now);
        for (const { word } of due) {
          retained = word;
          for (const relay of relays.values()) {
            // A client gets messages in the order in which the broker received them.
            const last = relay.inbox.at(-1)?.at ?? 0;
            relay.inbox.push({ at: Math.max(last, now + random() * 200), word });
          }
        }
        for (const relay of relays.values()) {
          const heard = relay.inbox.filter(({ at }) => at <= now);
          relay.inbox = relay.inbox.filter(({ at }) => at > now);
          for (const { word } of heard) take(relay, hear(relay.lease, word, now, random()));
          take(relay, tickLease(relay.lease, now, random()));
        }
        each();
      }
    },
  };
}

test('one of three relays acquires the lease after some seconds, and keeps it', () => {
  const w = world(1);
  for (let i = 0; i < 3; i++) w.join();
  w.pass(10_000);
  const [first] = w.holders();
  expect(w.holders()).toHaveLength(1);
  w.pass(3_600_000, () => expect(w.holders()).toEqual([first]));
});

test("after the holder's end another relay acquires the lease: within ten seconds by the Last Will, within a minute without it", () => {
  for (const [willMs, withinMs] of [
    [0, 10_000],
    [22_500, 33_000],
    [null, 60_000],
  ] as const) {
    const w = world(2);
    for (let i = 0; i < 3; i++) w.join();
    w.pass(20_000);
    w.die(w.holders()[0]?.lease.id ?? '', willMs);
    expect(w.holders()).toEqual([]);
    w.pass(withinMs);
    expect(w.holders()).toHaveLength(1);
  }
});

test('the end of a standby relay, and an old Last Will, do not affect the holder', () => {
  const w = world(3);
  for (let i = 0; i < 3; i++) w.join();
  w.pass(20_000);
  const [holder] = w.holders();
  for (const id of w.alive().filter((one) => one !== holder?.lease.id)) w.die(id, 1_000);
  w.join();
  w.pass(60_000, () => expect(w.holders()).toEqual([holder]));
});

test('whichever relays die at any time, one works in the end, and two never overlap for long', () => {
  const event = fc.oneof(
    fc.record({
      kind: fc.constant('die' as const),
      which: fc.nat(5),
      willMs: fc.option(fc.integer({ min: 0, max: 22_500 })),
    }),
    fc.record({ kind: fc.constant('join' as const) }),
  );
  fc.assert(
    fc.property(
      fc.integer(),
      fc.integer({ min: 2, max: 3 }),
      fc.array(fc.tuple(event, fc.integer({ min: 0, max: 40_000 })), { maxLength: 12 }),
      (seed, relays, events) => {
        const w = world(seed);
        for (let i = 0; i < relays; i++) w.join();
        let bothMs = 0;
        const watch = () => {
          bothMs = w.holders().length > 1 ? bothMs + STEP_MS : 0;
          expect(bothMs, 'two work at once').toBeLessThanOrEqual(2_000);
        };
        for (const [one, ms] of events) {
          const alive = w.alive();
          const id = one.kind === 'die' ? alive[one.which % alive.length] : undefined;
          if (one.kind === 'join' && alive.length < 4) w.join();
          if (one.kind === 'die' && id !== undefined && alive.length > 1) w.die(id, one.willMs);
          w.pass(ms, watch);
        }
        w.pass(60_000, watch);
        expect(w.holders()).toHaveLength(1);
      },
    ),
    { numRuns: 60 },
  );
});

test('a message that is not from a relay is ignored, and an empty topic has no holder', () => {
  expect(leaseWordOf('')).toEqual(gone(''));
  for (const text of ['x', '7', 'null', '[]', '{"holder":7}']) expect(leaseWordOf(text)).toBe(null);
  expect(leaseWordOf('{"schema":1,"holder":"a","beat":3}')).toEqual({ schema: 1, holder: 'a', beat: 3 });
});
