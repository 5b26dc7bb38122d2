/** A length of time as people read it. Pure. */

/** `45 s`, `3 min`, `5 h`, `2 d`; a negative length is `0 s`. @param ms milliseconds */
export function spanText(ms: number): string {
  const s = Math.max(0, Math.round(ms / 1_000));
  if (s < 120) return `${s} s`;
  if (s < 7_200) return `${Math.round(s / 60)} min`;
  return s < 172_800 ? `${Math.round(s / 3_600)} h` : `${Math.round(s / 86_400)} d`;
}

/** `in 3 min`; `now` for a time that has passed. Both in milliseconds. */
export const ahead = (at: number, now: number): string => (at <= now ? 'now' : `in ${spanText(at - now)}`);
