/**
 * Watches this host's date for what goes by it: windows, pauses, the age of history. A date that was set, or that was never
 * right, is doubted until a time server confirms it or nobody has set it for an hour.
 */
import { BELIEVED_MS, type ClockDoubt, doubtOf, type TimeSync } from '../../core/clock-doubt.ts';

export interface ClockGuardOptions {
  /** The date, ms. */
  now(): number;
  /** Milliseconds since the machine was started, time asleep included (CLOCK_BOOTTIME): no setting of the date moves it. */
  sinceBoot(): number;
  /** The newest date that was recorded on this host; null if nothing was. */
  recorded: number | null;
  /** Asked only while the date is new: it costs a process. */
  sync(): Promise<TimeSync>;
}

export interface ClockGuard {
  /** Looks at the date, and asks whether it is confirmed if it looks wrong; null if it is believed. */
  look(): Promise<ClockDoubt | null>;
  /** As `look`, but a date that a time server is still to confirm is doubted as well. */
  confirm(): Promise<ClockDoubt | null>;
  /** What the last look found. */
  doubt(): ClockDoubt | null;
}

/** From one look to the next, the date goes astray by less than this without being set. */
const JUMP_MS = 5_000;

export function createClockGuard({ now, sinceBoot, recorded, sync }: ClockGuardOptions): ClockGuard {
  let last = { date: now(), sinceBoot: sinceBoot() };
  let steadySince = last.sinceBoot;
  let setByMs = 0;
  let confirmed = false;
  let known: ClockDoubt | null = null;

  function follow(): void {
    const current = { date: now(), sinceBoot: sinceBoot() };
    const jump = current.date - last.date - (current.sinceBoot - last.sinceBoot);
    // A date that was wrong before anybody set it is put right: what it was set by says nothing against the new one.
    const isCorrection = setByMs === 0 && judge(confirmed ? 'yes' : 'no') !== null;
    last = current;
    if (Math.abs(jump) <= JUMP_MS) return;
    // A date that was believed is the one from which the next setting counts.
    const wasBelieved = confirmed || current.sinceBoot - steadySince >= BELIEVED_MS;
    setByMs = isCorrection ? 0 : (wasBelieved ? 0 : setByMs) + jump;
    steadySince = current.sinceBoot;
    confirmed = false;
  }

  const judge = (how: TimeSync): ClockDoubt | null =>
    doubtOf({ now: last.date, steadyMs: last.sinceBoot - steadySince, setByMs, recorded, sync: how });

  async function ask(unconfirmed: TimeSync): Promise<ClockDoubt | null> {
    follow();
    known = judge(confirmed ? 'yes' : unconfirmed);
    // What no time server could better is not asked about.
    if (known === null || confirmed) return known;
    const how = await sync();
    confirmed = how === 'yes';
    known = judge(how);
    return known;
  }

  return {
    async look() {
      await ask('no');
      return known?.isWrong ? known : null;
    },
    confirm: () => ask('awaited'),
    doubt: () => known,
  };
}
