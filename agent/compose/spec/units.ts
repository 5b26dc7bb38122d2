/** Durations, sizes and numbers, read and printed as Go does: what stands in Compose's normalised model. Pure. */

const UNITS: Record<string, bigint> = {
  ns: 1n,
  us: 1_000n,
  µs: 1_000n,
  μs: 1_000n,
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
  d: 86_400_000_000_000n,
  w: 604_800_000_000_000n,
};
const LARGEST = 2n ** 63n - 1n;

/** `1h30m`, `1.5s`, `100ms`, `2d`, `0` → nanoseconds; null if it is no duration. */
export function nanoseconds(text: string): bigint | null {
  const [, sign = '', rest = ''] = /^([-+]?)([\s\S]*)$/.exec(text) ?? [];
  if (rest === '0') return 0n;
  if (!/^((\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h|d|w))+$/.test(rest)) return null;
  let sum = 0n;
  for (const [, number = '', unit = ''] of rest.matchAll(/(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h|d|w)/g)) {
    const [whole = '', fraction = ''] = number.split('.');
    const scale = UNITS[unit] ?? 1n;
    const digits = fraction.slice(0, 18);
    sum += BigInt(whole || '0') * scale + (digits ? (BigInt(digits) * scale) / 10n ** BigInt(digits.length) : 0n);
    if (sum > LARGEST) return null;
  }
  return sign === '-' ? -sum : sum;
}

/** Nanoseconds as Go prints them: `1h30m0s`, `1.5s`, `100ms`. */
export function durationText(value: bigint): string {
  if (value === 0n) return '0s';
  const sign = value < 0n ? '-' : '';
  const size = value < 0n ? -value : value;
  const second = UNITS.s ?? 1n;
  if (size < second) {
    const [unit, scale] = size < 1_000n ? ['ns', 1n] : size < 1_000_000n ? ['µs', 1_000n] : ['ms', 1_000_000n];
    return `${sign}${decimal(size, scale as bigint)}${unit}`;
  }
  const seconds = size / second;
  const hours = seconds / 3600n;
  const minutes = (seconds / 60n) % 60n;
  const rest = `${decimal(size % (60n * second), second)}s`;
  return `${sign}${hours > 0n ? `${hours}h` : ''}${hours > 0n || minutes > 0n ? `${minutes}m` : ''}${rest}`;
}

function decimal(value: bigint, scale: bigint): string {
  const fraction = (value % scale)
    .toString()
    .padStart(scale.toString().length - 1, '0')
    .replace(/0+$/, '');
  return `${value / scale}${scale > 1n && fraction !== '' ? `.${fraction}` : ''}`;
}

/** `512m`, `1.5GB`, `64kib`, `1024` → bytes, null if it is no size ("Specifying byte values"). */
export function byteSize(text: string): number | null {
  const match = /^(\d+(?:\.\d+)*) ?([kKmMgGtTpP])?[iI]?[bB]?$/.exec(text);
  if (!match || Number.isNaN(Number(match[1]))) return null;
  const power = 'kmgtp'.indexOf((match[2] ?? '').toLowerCase());
  return Math.trunc(Number(match[1]) * (match[2] ? 1024 ** (power + 1) : 1));
}

/** The nearest float32, written with as few digits as tell it apart: how Go writes one as JSON. */
export function float32(value: number): number {
  const single = Math.fround(value);
  for (let digits = 1; digits < 10; digits++) {
    const short = Number(single.toPrecision(digits));
    if (Math.fround(short) === single) return short;
  }
  return single;
}

/** A duration that the schema has let pass, written in one way, such as `1m30s`; none is ''. */
export const writtenDuration = (text: string | undefined): string =>
  text === undefined ? '' : durationText(BigInt(durationOf(text)));

/** Milliseconds of such a duration. */
export const millisecondsOf = (text: string): number => Math.round(durationOf(text) / 1e6);

/** Nanoseconds of a duration that the schema has let pass; none is 0. */
export const durationOf = (text: string | undefined): number => Number(nanoseconds(text || '0') ?? 0n);
