/**
 * A strict parser of Prometheus' text format 0.0.4: it throws if a scraper would refuse the text, and if the text is valid but
 * breaks the conventions (https://prometheus.io/docs/practices/naming/).
 */

export interface Series {
  name: string;
  labels: Readonly<Record<string, string>>;
  value: number;
}

export interface ReadFamily {
  name: string;
  help: string;
  type: string;
  series: readonly Series[];
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL = /^[a-zA-Z_][a-zA-Z0-9_]*$/;
const NUMBER = /^(?:[+-]?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|Inf)|NaN)$/;
/** Units that are multiples of base units, and words that repeat the type. */
const BAD_UNIT =
  /_(ms|milliseconds|minutes|hours|days|percent|kb|mb|kib|mib|kilobytes|megabytes|count|gauge|counter)(_total)?$/;

/** @returns the families by name. Throws if the text is invalid. */
export function readExposition(text: string): Map<string, ReadFamily> {
  if (text !== '' && !text.endsWith('\n')) throw new Error('the last line has no end');
  const families = new Map<string, ReadFamily & { series: Series[] }>();
  const seen = new Set<string>();
  let current: (ReadFamily & { series: Series[] }) | null = null;
  let help: { name: string; text: string } | null = null;
  for (const line of text.split('\n').slice(0, -1)) {
    const comment = /^# (HELP|TYPE) (\S+) (.+)$/s.exec(line);
    if (comment) {
      const [, what, name = '', rest = ''] = comment;
      if (what === 'HELP') {
        if (help !== null) throw new Error(`${help.name} has help and no type`);
        help = { name, text: plain(rest, '\\n') };
        continue;
      }
      if (help?.name !== name) throw new Error(`${name} has a type and no help`);
      if (families.has(name)) throw new Error(`${name} comes twice`);
      checkName(name, rest);
      current = { name, help: help.text, type: rest, series: [] };
      families.set(name, current);
      help = null;
      continue;
    }
    if (current === null || help !== null) throw new Error(`outside of a family: ${line}`);
    const series = readSeries(line);
    const base = current.type === 'histogram' ? series.name.replace(/_(bucket|sum|count)$/, '') : series.name;
    if (base !== current.name) throw new Error(`${series.name} is not of ${current.name}`);
    const key = JSON.stringify([series.name, Object.entries(series.labels).sort()]);
    if (seen.has(key)) throw new Error(`comes twice: ${line}`);
    seen.add(key);
    current.series.push(series);
  }
  if (help !== null) throw new Error(`${help.name} has help and no type`);
  for (const family of families.values()) checkFamily(family);
  return families;
}

function checkName(name: string, type: string): void {
  if (!NAME.test(name)) throw new Error(`no name: ${name}`);
  if (!['counter', 'gauge', 'histogram'].includes(type)) throw new Error(`no type: ${type}`);
  if ((type === 'counter') !== name.endsWith('_total')) throw new Error(`${name} is a ${type}`);
  if (BAD_UNIT.test(name)) throw new Error(`${name} is in no base unit`);
}

function checkFamily({ name, type, series }: ReadFamily): void {
  if (series.length === 0) throw new Error(`${name} has no series`);
  if (type === 'counter' && series.some(({ value }) => !(value >= 0))) throw new Error(`${name} is below 0`);
  if (type !== 'histogram') return;
  const buckets = series.filter((one) => one.name.endsWith('_bucket'));
  const bounds = buckets.map(({ labels }) => (labels.le === '+Inf' ? Number.POSITIVE_INFINITY : Number(labels.le)));
  const of = (suffix: string) => series.find((one) => one.name === `${name}${suffix}`)?.value;
  buckets.forEach(({ value }, i) => {
    if (i > 0 && !((bounds[i] ?? 0) > (bounds[i - 1] ?? 0))) throw new Error(`${name} has its bounds in no order`);
    if (i > 0 && value < (buckets[i - 1]?.value ?? 0)) throw new Error(`${name} has buckets that do not add up`);
  });
  if (bounds.at(-1) !== Number.POSITIVE_INFINITY) throw new Error(`${name} has no last bucket`);
  if (of('_count') !== buckets.at(-1)?.value || of('_sum') === undefined) throw new Error(`${name} is not whole`);
}

function readSeries(line: string): Series {
  const opened = /^([^{ ]+)(\{)?/.exec(line);
  const name = opened?.[1] ?? '';
  if (!NAME.test(name)) throw new Error(`no name: ${line}`);
  const labels: Record<string, string> = {};
  let at = name.length;
  if (opened?.[2]) {
    at++;
    while (line[at] !== '}') {
      const label = /^([^=]+)="((?:[^"\\]|\\.)*)"/s.exec(line.slice(at));
      if (!label) throw new Error(`no label: ${line.slice(at)}`);
      const [whole, key = '', value = ''] = label;
      if (!LABEL.test(key) || key.startsWith('__')) throw new Error(`no name of a label: ${key}`);
      if (key in labels) throw new Error(`the label ${key} comes twice`);
      labels[key] = plain(value, '\\n"');
      at += whole.length;
      if (line[at] === ',') at++;
      else if (line[at] !== '}') throw new Error(`labels without an end: ${line}`);
    }
    at++;
  }
  const value = line.slice(at);
  if (value[0] !== ' ' || !NUMBER.test(value.slice(1))) throw new Error(`no number: ${line}`);
  return { name, labels, value: toNumber(value.slice(1)) };
}

const toNumber = (text: string): number =>
  /Inf$/.test(text) ? (text[0] === '-' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY) : Number(text);

/** @param known the characters that may follow a backslash */
const plain = (text: string, known: string): string =>
  text.replaceAll(/\\(.?)/gs, (_whole, next: string) => {
    if (next === '' || !known.includes(next)) throw new Error(`\\${next} is no escape`);
    return next === 'n' ? '\n' : next;
  });

/** The value of the series with these labels; undefined if there is none. */
export const valueIn = (
  families: ReadonlyMap<string, ReadFamily>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number | undefined =>
  families.get(name)?.series.find((one) => Object.entries(labels).every(([key, value]) => one.labels[key] === value))
    ?.value;
