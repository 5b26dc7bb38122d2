/** The verdict of a run's figures on each row of the table. Pure. */
import type { BenchName } from './catalogue.ts';
import { amountText, type Figure, numberText, unitText } from './figure.ts';
import type { Missing, Outcome, Outcomes } from './results.ts';
import { isMeasured, WEIGHTS, type Weight } from './weights.ts';

/** `misses narrowly`: by less than the noise on one machine. `stated`: the row has no target. */
export type Mark = 'meets' | 'misses narrowly' | 'misses' | 'stated' | 'not measured';

export interface Verdict {
  weight: Weight;
  mark: Mark;
  /** The value of fairlead; empty if it was not measured. */
  value: string;
  target: string;
  /** The value to compare with, and the ratio; empty if there is none. */
  beside: string;
  /** Why it was not measured; empty otherwise. */
  why: string;
  /** The machine was busy: a miss here may be a success on a quiet one. */
  isBusy: boolean;
}

/** Differences below a quarter are noise on one machine. */
const NOISE = 1.25;

export const verdictsOf = (outcomes: Outcomes, weights: readonly Weight[] = WEIGHTS): Verdict[] =>
  weights.map((weight) => verdictOf(weight, outcomes));

function verdictOf(weight: Weight, outcomes: Outcomes): Verdict {
  const blank: Verdict = {
    weight,
    mark: 'not measured',
    value: '',
    target: targetText(weight),
    beside: '',
    why: '',
    isBusy: false,
  };
  if (!isMeasured(weight)) return { ...blank, why: weight.why };
  const ours = find(weight.bench, weight.figure, outcomes);
  if ('why' in ours) return { ...blank, why: ours.why };
  const value = ours[weight.statistic];
  const told: Verdict = { ...blank, value: amountText(value, weight.unit), isBusy: isBusy(outcomes[weight.bench]) };
  if (weight.target === 'stated') return { ...told, mark: 'stated' };
  if ('atMost' in weight.target) return { ...told, mark: markOf(value, weight.target.atMost) };
  const other = find(weight.bench, weight.target.of, outcomes);
  if ('why' in other) return { ...told, why: other.why };
  return {
    ...told,
    mark: markOf(value, other.median * weight.target.times),
    beside: `${amountText(other.median, other.unit)} (${ratioText(value / other.median)})`,
  };
}

/** By the load of the last minute: a bench itself is a load. */
const isBusy = (outcome: Outcome | undefined): boolean =>
  outcome !== undefined && outcome.machine.load > outcome.machine.cores;

/** The mark in words. */
export const markText = ({ mark, isBusy: busy }: Verdict): string =>
  mark.startsWith('misses') && busy ? `${mark}, on a busy machine` : mark;

const markOf = (value: number, limit: number): Mark =>
  value <= limit ? 'meets' : value <= limit * NOISE ? 'misses narrowly' : 'misses';

function find(bench: BenchName, id: string, outcomes: Outcomes): Figure | Missing {
  const outcome = outcomes[bench];
  if (outcome === undefined) return { id, why: `the bench \`${bench}\` has not run` };
  const figure = outcome.figures.find((one) => one.id === id);
  if (figure) return figure;
  const said = outcome.missing.find((one) => one.id === id);
  return said ?? { id, why: outcome.failure ?? `the bench \`${bench}\` left it out` };
}

export const ratioText = (ratio: number): string =>
  ratio >= 0.1 || ratio === 0 ? `${numberText(ratio)} ×` : `1/${Math.round(1 / ratio)}`;

function targetText(weight: Weight): string {
  if (!isMeasured(weight)) return weight.target;
  const { target, unit } = weight;
  if (target === 'stated') return '–';
  if ('atMost' in target) return `≤ ${target.atMost.toLocaleString('en')} ${unitText(target.atMost, unit)}`;
  const factor = target.times < 0.2 ? `1/${Math.round(1 / target.times)} of` : `${target.times} ×`;
  return `≤ ${factor} ${target.name}`;
}
