/**
 * Watches this host's date for everything that depends on it: windows, pauses, the age of history. A date that was set, or was
 * never right, is doubted until a time server confirms it or nobody has set it for an hour.
 */
import { BELIEVED_MS, type ClockDoubt, doubtOf, type TimeSync } from '../../core/clock-doubt.ts';

export interface ClockGuardOptions {
  /** The date, ms since 1970. */
  now(): number;
  /** Milliseconds since boot, time asleep included (CLOCK_BOOTTIME); setting the date does not change it. */
  sinceBoot(): number;
  /** The newest date that was recorded on this host; null if there is none. */
  recorded: number | null;
  /** Asks whether a time server sets the clock. Only called while the date is new, because it starts a process. */
  sync(): Promise<TimeSync>;
}

export interface ClockGuard {
  /** Checks the date, and asks for confirmation if it looks wrong; null if it is believed. */
  look(): Promise<ClockDoubt | null>;
  /** Like `look`, but also doubts a date that a time server has not confirmed yet. */
  confirm(): Promise<ClockDoubt | null>;
  /** The result of the last check. */
  doubt(): ClockDoubt | null;
}

/** Between two checks, a clock drifts by less than this unless it is set. */
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
    // If the date was already wrong before it was set, this corrects it, and the size of the jump does not count against the
    // new date.
    const isCorrection = setByMs === 0 && judge(confirmed ? 'yes' : 'no') !== null;
    last = current;
    if (Math.abs(jump) <= JUMP_MS) return;
    // A date that was believed is the base for judging the next change.
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
    // A date that is believed, or confirmed already, needs no time server.
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
