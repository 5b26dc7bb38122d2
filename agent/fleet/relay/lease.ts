/**
 * Decides which of several relays is active: its name is retained on one topic of the broker, and its Last Will clears it. MQTT has no
 * compare-and-set, so a relay that finds no holder publishes a claim, waits, and becomes active only if no other claim followed its own:
 * every client sees the messages of a topic in the same order. Pure: time and chance are arguments, and messages are return values.
 */

/** The retained message. `was` names the relay whose end it reports. */
export type LeaseWord = { schema: 1; holder: string; beat: number } | { schema: 1; holder: null; was: string };

export interface Lease {
  readonly id: string;
  state:
    | { kind: 'standby'; heardAt: number; claimAt: number | null }
    /** `isHeard`: the broker delivered our own claim. */
    | { kind: 'claiming'; until: number; isHeard: boolean }
    | { kind: 'holding'; beatAt: number; heardAt: number };
  beat: number;
}

/** `say`: to be retained on the topic. `turn`: this relay becomes active, or no longer is. */
export interface LeaseStep {
  say: LeaseWord | null;
  turn: 'held' | 'lost' | null;
}

/** The holder repeats its message, because the Last Will may be lost with the broker. */
export const BEAT_MS = 10_000;
/** A holder that was silent this long is gone. */
const SILENT_MS = 35_000;
/** A holder that does not receive its own messages for this long has lost its connection. */
const DEAF_MS = 25_000;
/** A relay that finds no holder waits this long, plus the same at random: a living holder corrects the message meanwhile. */
const POLITE_MS = 2_000;
const SETTLE_MS = 3_000;

const nothing: LeaseStep = { say: null, turn: null };

/** @param random between 0 and 1 */
export function createLease(id: string, now: number, random: number): Lease {
  return { id, beat: 0, state: { kind: 'standby', heardAt: now, claimAt: politely(now, random) } };
}

const politely = (now: number, random: number): number => now + POLITE_MS * (1 + random);

/** Takes the message of the topic. */
export function hear(lease: Lease, word: LeaseWord, now: number, random: number): LeaseStep {
  const { state, id } = lease;
  const isMine = word.holder === id;
  if (state.kind === 'standby') {
    if (word.holder === null) state.claimAt ??= politely(now, random);
    else if (!isMine) {
      state.heardAt = now;
      state.claimAt = null;
    }
    return nothing;
  }
  if (isMine) {
    if (state.kind === 'claiming') state.isHeard = true;
    else state.heardAt = now;
    return nothing;
  }
  // The end of another relay, or of an earlier connection of ours: correct it.
  if (word.holder === null)
    return state.kind === 'holding' || state.isHeard ? { say: mine(lease), turn: null } : nothing;
  // Messages before our own claim are older than it.
  if (state.kind === 'claiming' && !state.isHeard) return nothing;
  const turn = state.kind === 'holding' ? 'lost' : null;
  lease.state = { kind: 'standby', heardAt: now, claimAt: null };
  return { say: null, turn };
}

/** To be called as time passes. */
export function tickLease(lease: Lease, now: number, random: number): LeaseStep {
  const { state } = lease;
  if (state.kind === 'standby') {
    if (state.claimAt === null && now - state.heardAt >= SILENT_MS) state.claimAt = politely(now, random);
    if (state.claimAt === null || now < state.claimAt) return nothing;
    lease.state = { kind: 'claiming', until: now + SETTLE_MS, isHeard: false };
    return { say: mine(lease), turn: null };
  }
  if (state.kind === 'claiming') {
    if (now < state.until) return nothing;
    if (!state.isHeard) {
      lease.state = { kind: 'standby', heardAt: now, claimAt: politely(now, random) };
      return nothing;
    }
    lease.state = { kind: 'holding', beatAt: now + BEAT_MS, heardAt: now };
    return { say: null, turn: 'held' };
  }
  if (now - state.heardAt >= DEAF_MS) {
    lease.state = { kind: 'standby', heardAt: now, claimAt: null };
    return { say: null, turn: 'lost' };
  }
  if (now < state.beatAt) return nothing;
  state.beatAt = now + BEAT_MS;
  return { say: mine(lease), turn: null };
}

const mine = (lease: Lease): LeaseWord => ({ schema: 1, holder: lease.id, beat: ++lease.beat });
export const gone = (id: string): LeaseWord => ({ schema: 1, holder: null, was: id });

/** @returns null for a message that is not from a relay; an empty topic has no holder */
export function leaseWordOf(payload: string): LeaseWord | null {
  if (payload === '') return gone('');
  try {
    const value = JSON.parse(payload) as Partial<Record<'holder' | 'beat' | 'was', unknown>> | null;
    if (typeof value?.holder === 'string') return { schema: 1, holder: value.holder, beat: Number(value.beat) || 0 };
    return value?.holder === null ? gone(typeof value.was === 'string' ? value.was : '') : null;
  } catch {
    return null;
  }
}
