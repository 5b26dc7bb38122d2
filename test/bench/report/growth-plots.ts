/** Which figures are plotted, and against what they grow. Pure. */
import { type BenchName, FLEET_SIZES, FLEETS, type Fleet, figuresOf, SIZES, type Step } from './catalogue.ts';
import type { Plot, Series } from './plot.ts';
import type { Outcomes } from './results.ts';

export interface GrowthPlot {
  /** Name of the file in docs/images. */
  file: string;
  title: string;
  /** null if none of its figures has been measured. */
  plot: Plot | null;
}

interface Wanted {
  file: string;
  title: string;
  xLabel: string;
  yLabel: string;
  bench: BenchName;
  /** Each with the ids of its figures, by what they grow with. */
  lines: readonly { name: string; isPeer: boolean; ids: readonly { x: number; id: string }[] }[];
}

const resources = (what: 'noop' | 'first', title: string): Wanted => ({
  file: `performance-resources-${what}.svg`,
  title,
  xLabel: 'resources of the host',
  yLabel: 'milliseconds',
  bench: 'growth',
  lines: ['fairlead', 'script'].map((way) => ({
    name: way,
    isPeer: way !== 'fairlead',
    ids: SIZES.map((x) => ({ x, id: `${what}.${x}.${way}` })),
  })),
});

const FLAT = FLEETS.filter((fleet) => !fleet.endsWith('n'));
/** A fleet of ten hosts has one site: it is flat and nested. */
const NESTED = FLEETS.filter((fleet) => fleet.endsWith('n') || fleet === '10');

const hosts = (step: Step, cost: 'ms' | 'wire', title: string): Wanted => {
  const line = (name: string, fleets: readonly Fleet[], way: string) => ({
    name,
    isPeer: way !== 'fairlead',
    ids: fleets.map((fleet) => ({ x: Number.parseInt(fleet, 10), id: `${fleet}.${step}.${cost}.${way}` })),
  });
  return {
    file: `performance-hosts-${step}-${cost === 'ms' ? 'time' : 'bytes'}.svg`,
    title,
    xLabel: 'hosts in the repository',
    yLabel: cost === 'ms' ? 'milliseconds' : 'bytes, both ways',
    bench: 'git',
    lines: [
      line('fairlead, flat', FLAT, 'fairlead'),
      // git has the same line for both, because it reads the trees of all hosts.
      line('git blob:none, sparse', FLAT, 'git-blobless'),
      line('fairlead, nested', NESTED, 'fairlead'),
    ],
  };
};

const WANTED: readonly Wanted[] = [
  resources('noop', 'A run that changes nothing'),
  resources('first', 'First convergence'),
  hosts('first', 'wire', 'First pull: bytes'),
  hosts('first', 'ms', 'First pull: time'),
  hosts('change', 'wire', 'A commit for one host: bytes'),
  hosts('change', 'ms', 'A commit for one host: time'),
  hosts('poll', 'wire', 'A poll that finds nothing new: bytes'),
  hosts('poll', 'ms', 'A poll that finds nothing new: time'),
  {
    file: 'performance-fleet-status.svg',
    title: 'fleet status',
    xLabel: 'hosts at the broker',
    yLabel: 'milliseconds',
    bench: 'fleet',
    lines: [{ name: 'fairlead', isPeer: false, ids: FLEET_SIZES.map((x) => ({ x, id: `status.${x}.ms` })) }],
  },
];

/** Figures that plots name and no bench yields: there should be none. */
export const unknownFigures = (): string[] =>
  WANTED.flatMap(({ bench, lines }) =>
    lines.flatMap(({ ids }) => ids.filter(({ id }) => figuresOf(bench)[id] === undefined).map(({ id }) => id)),
  );

export const growthPlots = (outcomes: Outcomes): GrowthPlot[] =>
  WANTED.map(({ file, title, bench, lines, xLabel, yLabel }) => {
    const medians = new Map(outcomes[bench]?.figures.map((figure) => [figure.id, figure.median]));
    const series = lines.flatMap(({ name, isPeer, ids }): Series[] => {
      const points = ids.flatMap(({ x, id }) => {
        const y = medians.get(id);
        return y === undefined || y <= 0 ? [] : [{ x, y }];
      });
      return points.length === 0 ? [] : [{ name, isPeer, points }];
    });
    return { file, title, plot: series.length === 0 ? null : { title, xLabel, yLabel, series } };
  });
