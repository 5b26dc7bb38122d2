/** Plain YAML scalars as Compose's own parser (go-yaml v3) types them: YAML 1.2 with some of 1.1. Pure. */
import type { ScalarType, ScalarValue } from './node.ts';

type Typed = [ScalarType, ScalarValue];

const WORDS: Record<string, Typed> = Object.fromEntries([
  ...['true', 'True', 'TRUE'].map((word) => [word, ['bool', true]]),
  ...['false', 'False', 'FALSE'].map((word) => [word, ['bool', false]]),
  ...['', '~', 'null', 'Null', 'NULL'].map((word) => [word, ['null', null]]),
  ...['.nan', '.NaN', '.NAN'].map((word) => [word, ['float', Number.NaN]]),
  ...['.inf', '.Inf', '.INF', '+.inf', '+.Inf', '+.INF'].map((word) => [word, ['float', Number.POSITIVE_INFINITY]]),
  ...['-.inf', '-.Inf', '-.INF'].map((word) => [word, ['float', Number.NEGATIVE_INFINITY]]),
]);
const FLOAT = /^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$/;
const INTEGER = /^([-+]?)(?:0[bB]([01]+)|0[oO]?([0-7]+)|0[xX]([0-9a-fA-F]+)|([1-9][0-9]*|0))$/;
const TIME =
  /^(\d{4})-(\d{1,2})-(\d{1,2})(?:(?:[Tt]| +)(\d{1,2}):(\d{1,2}):(\d{1,2})(\.\d{1,9})?(Z|[-+]\d{2}:\d{2})?)?$/;
const LARGEST = 2n ** 64n;

/** A plain (unquoted, untagged) scalar. */
export function resolvePlain(raw: string): Typed {
  const word = Object.hasOwn(WORDS, raw) ? WORDS[raw] : undefined;
  if (word) return word;
  if (!/^[-+.0-9]/.test(raw)) return ['string', raw];
  const time = goTime(raw);
  if (time !== null) return ['time', time];
  const digits = raw.replaceAll('_', '');
  const whole = raw.startsWith('.') ? null : wholeNumber(digits);
  if (whole !== null) return ['int', whole];
  return FLOAT.test(digits) && !raw.startsWith('_') ? ['float', Number(digits)] : ['string', raw];
}

function wholeNumber(digits: string): number | bigint | null {
  const match = INTEGER.exec(digits);
  if (!match) return null;
  const [, sign = '', binary, octal, hex, decimal] = match;
  const size = BigInt(binary ? `0b${binary}` : octal ? `0o${octal}` : hex ? `0x${hex}` : (decimal ?? '0'));
  if (size >= LARGEST || (sign === '-' && size > LARGEST / 2n)) return null;
  const value = sign === '-' ? -size : size;
  return Number.isSafeInteger(Number(value)) ? Number(value) : value;
}

/** A timestamp as Go prints a time, null if the text is none. */
function goTime(raw: string): string | null {
  const match = TIME.exec(raw);
  if (!match) return null;
  const [, year = '', month = '', day = '', hour = '0', minute = '0', second = '0', fraction = '', zone = ''] = match;
  // With a T Go wants the zone, with a space it wants none.
  if (hour !== '0' || raw.includes(':')) {
    if (/[Tt]/.test(raw) ? zone === '' : zone !== '') return null;
  }
  const date = new Date(Date.UTC(Number(year), Number(month) - 1, Number(day)));
  if (date.getUTCMonth() !== Number(month) - 1 || Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59)
    return null;
  const two = (n: string) => n.padStart(2, '0');
  const offset =
    zone === '' || zone === 'Z' || zone === '+00:00'
      ? '+0000 UTC'
      : `${zone.replace(':', '')} ${zone.replace(':', '')}`;
  return `${year}-${two(month)}-${two(day)} ${two(hour)}:${two(minute)}:${two(second)}${fraction.replace(/\.?0+$/, '')} ${offset}`;
}
