/**
 * Takes the place of `Intl.DateTimeFormat` in the program. node-cron reads the parts of local times from one in US English, and V8
 * loads 1.3 MB of data of all languages for the first. Date knows these parts as well.
 */
const { DateTimeFormat } = Intl;
const WEEKDAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'] as const;

type Parts = Intl.DateTimeFormatPart[];
const two = (n: number): string => String(n).padStart(2, '0');
const literal = (value: string) => ({ type: 'literal', value }) as const;

const timeOf = (date: Date): Parts => [
  { type: 'weekday', value: WEEKDAYS[date.getDay()] ?? '' },
  literal(', '),
  { type: 'month', value: two(date.getMonth() + 1) },
  literal('/'),
  { type: 'day', value: two(date.getDate()) },
  literal('/'),
  { type: 'year', value: String(date.getFullYear()) },
  literal(', '),
  { type: 'hour', value: two(date.getHours()) },
  literal(':'),
  { type: 'minute', value: two(date.getMinutes()) },
  literal(':'),
  { type: 'second', value: two(date.getSeconds()) },
];

const offsetOf = (date: Date): Parts => [
  { type: 'month', value: String(date.getMonth() + 1) },
  literal('/'),
  { type: 'day', value: String(date.getDate()) },
  literal('/'),
  { type: 'year', value: String(date.getFullYear()) },
  literal(', '),
  { type: 'timeZoneName', value: offsetName(-date.getTimezoneOffset()) },
];

/** `GMT+0`, `GMT+2` or `GMT-3:30`. */
function offsetName(minutes: number): string {
  const rest = Math.abs(minutes) % 60;
  return `GMT${minutes < 0 ? '-' : '+'}${Math.floor(Math.abs(minutes) / 60)}${rest === 0 ? '' : `:${two(rest)}`}`;
}

/** The options that Date answers, with sorted keys. */
const ANSWERS: ReadonlyMap<string, (date: Date) => Parts> = new Map([
  [
    JSON.stringify({
      day: '2-digit',
      hour: '2-digit',
      hour12: false,
      minute: '2-digit',
      month: '2-digit',
      second: '2-digit',
      weekday: 'short',
      year: 'numeric',
    }),
    timeOf,
  ],
  [JSON.stringify({ timeZoneName: 'shortOffset' }), offsetOf],
]);

/** With `new` or without it, as the original. @returns a formatter of parts for the options of node-cron, else a real one */
export function LocalDateFormat(
  locales?: Intl.LocalesArgument,
  options: Intl.DateTimeFormatOptions = {},
): Pick<Intl.DateTimeFormat, 'formatToParts'> {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  const key = JSON.stringify(Object.fromEntries(given.sort(([a], [b]) => (a < b ? -1 : 1))));
  const answer = locales === 'en-US' ? ANSWERS.get(key) : undefined;
  if (answer === undefined) return new DateTimeFormat(locales, options);
  return {
    formatToParts(date = new Date()) {
      const at = new Date(date);
      if (Number.isNaN(at.getTime())) throw new RangeError('Invalid time value');
      return answer(at);
    },
  };
}
