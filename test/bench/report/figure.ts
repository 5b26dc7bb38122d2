/** The result of a bench: named figures, each with its samples. */

export type Unit = 'ms' | 's' | 'MB' | 'KB' | 'B' | '%' | '/s' | 'requests';

/** Names a figure for people; its id is its key in the catalogue. */
export interface FigureText {
  what: string;
  unit: Unit;
}

export type Statistic = 'median' | 'p99' | 'high';

export interface Figure extends FigureText {
  id: string;
  /** Number of samples. */
  n: number;
  median: number;
  low: number;
  high: number;
  /** By nearest rank: with less than a hundred samples, it is the highest. */
  p99: number;
  samples: readonly number[];
}

/** @throws if there is no sample, or one is not a number: a bench that measured nothing is broken */
export function figureOf(id: string, { what, unit }: FigureText, samples: readonly number[]): Figure {
  if (samples.length === 0 || samples.some((value) => !Number.isFinite(value)))
    throw new Error(`figure ${id} has no value: [${samples.join(', ')}]`);
  const sorted = [...samples].sort((a, b) => a - b);
  const at = (index: number) => digits(sorted[index] ?? Number.NaN);
  return {
    id,
    what,
    unit,
    n: samples.length,
    median: digits(median(samples)),
    low: at(0),
    high: at(sorted.length - 1),
    p99: at(Math.ceil(sorted.length * 0.99) - 1),
    samples: samples.map(digits),
  };
}

/** Four digits: more than the precision of any of these measurements. */
const digits = (value: number): number => Number(value.toPrecision(4));

export function numberText(value: number): string {
  if (value !== 0 && Math.abs(value) < 0.1) return value.toPrecision(2);
  if (Math.abs(value) < 10) return value.toFixed(2);
  return Math.abs(value) < 100 ? value.toFixed(1) : Math.round(value).toLocaleString('en');
}

export const unitText = (value: number, unit: Unit): string => (unit === 'requests' && value === 1 ? 'request' : unit);

export const amountText = (value: number, unit: Unit): string =>
  `${unit === 'requests' ? value : numberText(value)} ${unitText(value, unit)}`;

/** For an even number of values, the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
  const lower = sorted[Math.ceil(sorted.length / 2) - 1] ?? Number.NaN;
  return (lower + upper) / 2;
}
