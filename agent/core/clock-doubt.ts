/** Whether this host's date is plausible. Pure: facts about the clock → why it is doubted. */

/**
 * `yes`: the clock agrees with a time server. `awaited`: a time server is configured but has not answered yet. `no`: nothing
 * sets the clock.
 */
export type TimeSync = 'yes' | 'awaited' | 'no';

/** All times in milliseconds; dates since 1970. */
export interface ClockFacts {
  now: number;
  /**
   * How long the clock has run without being set, time asleep included, or how long this process has run if that is shorter.
   */
  steadyMs: number;
  /** How far the clock was set since it was last believed: positive is forward, negative is back. */
  setByMs: number;
  /** The newest date that was recorded on this host before this process started; null if there is none. */
  recorded: number | null;
  sync: TimeSync;
}

export interface ClockDoubt {
  message: string;
  /** The date is most likely wrong. If false, it may be right and will be confirmed soon. */
  isWrong: boolean;
}

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** fairlead did not exist before this date: a clock without a battery starts at 1970, or at the build date of some program. */
const EARLIEST = Date.UTC(2026, 0, 1);
/** A smaller correction disturbs nothing that depends on the date. */
const SMALL_MS = 10 * MINUTE;
/** A host that was off for longer is less likely than a clock that runs ahead. */
const LONG_OFF_MS = 30 * DAY;
/** If nobody corrected the date in all this time, it is accepted. */
export const BELIEVED_MS = HOUR;

const ADVICE = 'until then no maintenance window opens and no history expires; set it: `timedatectl set-ntp true`';

/** @returns null if the date is believed */
export function doubtOf(facts: ClockFacts): ClockDoubt | null {
  const { now, steadyMs, setByMs, recorded, sync } = facts;
  const wrong = (why: string): ClockDoubt => ({ message: `this host's clock ${why}; ${ADVICE}`, isWrong: true });
  const said = `says ${minuteOf(now)}`;
  if (now < EARLIEST) return wrong(`${said}, which is before this program was made`);
  if (sync === 'yes' || steadyMs >= BELIEVED_MS) return null;
  if (Math.abs(setByMs) > SMALL_MS)
    return wrong(
      `was set ${setByMs > 0 ? 'forward' : 'back'} by ${roughly(setByMs)} and agrees with no time server; it is believed within an hour, unless it is set again`,
    );
  if (recorded !== null && recorded - now > SMALL_MS)
    return wrong(`${said}, and this host recorded ${minuteOf(recorded)} before`);
  if (recorded !== null && now - recorded > LONG_OFF_MS)
    return wrong(
      `${said}, ${roughly(now - recorded)} after what this host recorded last, and agrees with no time server`,
    );
  if (sync === 'awaited') return { message: "this host's clock is not set by its time server yet", isWrong: false };
  return null;
}

const minuteOf = (date: number): string => `${new Date(date).toISOString().slice(0, 16).replace('T', ' ')} UTC`;

/** A duration for people: `3 h`, `12 d`, `56 y`. */
export function roughly(ms: number): string {
  const size = Math.abs(ms);
  const units = [
    [365 * DAY, 'y'],
    [DAY, 'd'],
    [HOUR, 'h'],
    [MINUTE, 'min'],
  ] as const;
  const [unit, name] = units.find(([least]) => size >= 2 * least || (least === HOUR && size >= least)) ?? [1_000, 's'];
  return `${Math.round(size / unit)} ${name}`;
}
