/** The benchmark's table: each row names a figure of its bench, misses are marked, and a figure without samples has a reason. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { choosePeers } from '../bench/host/peers.ts';
import { BENCH_NAMES, type BenchName, figuresOf } from '../bench/report/catalogue.ts';
import { figureOf } from '../bench/report/figure.ts';
import { PAGE, RESULT_FILES, readResults, TEMPLATE } from '../bench/report/files.ts';
import { growthPlots, unknownFigures } from '../bench/report/growth-plots.ts';
import { performancePage } from '../bench/report/page.ts';
import { plotSvg } from '../bench/report/plot.ts';
import {
  mergeResults,
  NO_RESULTS,
  type Outcome,
  parseResults,
  publishable,
  resultsText,
} from '../bench/report/results.ts';
import { type Benches, runBenches } from '../bench/report/runner.ts';
import { verdictsText } from '../bench/report/terminal.ts';
import { verdictsOf } from '../bench/report/verdict.ts';
import { isMeasured, type MeasuredWeight, WEIGHTS } from '../bench/report/weights.ts';

const STAMP = {
  commit: 'a'.repeat(40),
  isChanged: false,
  machine: {
    cores: 2,
    cpu: 'x',
    memoryGb: 8,
    kernel: '6',
    node: 'v24',
    git: '2',
    docker: '28',
    load: 0.1,
    loopMs: 100,
  },
};

/** @param samples by id; figures without any are missing */
const outcome = (bench: BenchName, samples: Record<string, readonly number[]>, more?: Partial<Outcome>): Outcome => ({
  at: '2026-11-30T18:00:00.000Z',
  ...STAMP,
  isQuick: false,
  seconds: 1,
  figures: Object.entries(samples).flatMap(([id, values]) => {
    const text = figuresOf(bench)[id];
    return text === undefined ? [] : [figureOf(id, text, values)];
  }),
  missing: [],
  failure: null,
  ...more,
});

const row = (limit: number, statistic: MeasuredWeight['statistic'] = 'median'): MeasuredWeight => ({
  group: 'idle',
  what: 'anonymous memory',
  bench: 'idle',
  figure: 'anonymous.fairlead',
  unit: 'MB',
  statistic,
  target: { atMost: limit },
});
const ratioRow: MeasuredWeight = { ...row(0), target: { times: 0.5, of: 'anonymous.node', name: 'a bare `node`' } };

test.each(WEIGHTS.filter(isMeasured))('$bench yields the figure of "$group: $what"', ({ bench, figure, target }) => {
  expect(Object.keys(figuresOf(bench))).toContain(figure);
  if (typeof target === 'object' && 'of' in target) expect(Object.keys(figuresOf(bench))).toContain(target.of);
});

test('every bench has a row, except the one that only draws plots', () => {
  const answered = new Set(WEIGHTS.filter(isMeasured).map(({ bench }) => bench));
  expect(BENCH_NAMES.filter((name) => !answered.has(name))).toEqual(['growth']);
});

test('row names are unique', () => {
  const names = WEIGHTS.map(({ group, what }) => `${group}: ${what}`);
  expect(names.filter((name, at) => names.indexOf(name) !== at)).toEqual([]);
});

describe('a figure', () => {
  const figure = figureOf('start', { what: 'start', unit: 'ms' }, [3, 1, 2, 100]);

  test('has median, spread and p99 of its samples', () => {
    expect(figure).toMatchObject({ n: 4, median: 2.5, low: 1, high: 100, p99: 100 });
  });

  test('without a sample is an error', () => {
    expect(() => figureOf('start', { what: 'start', unit: 'ms' }, [])).toThrow('figure start has no value');
  });
});

describe('a row', () => {
  const marks = (weight: MeasuredWeight, samples: Record<string, readonly number[]>) =>
    verdictsOf({ idle: outcome('idle', samples) }, [weight])[0];

  test('at its target meets it', () => {
    expect(marks(row(30), { 'anonymous.fairlead': [30] })?.mark).toBe('meets');
  });

  test('above its target misses it', () => {
    expect(marks(row(30), { 'anonymous.fairlead': [38] })?.mark).toBe('misses');
  });

  test('above its target by less than a quarter is a narrow miss', () => {
    expect(marks(row(30), { 'anonymous.fairlead': [31] })?.mark).toBe('misses narrowly');
  });

  test('for the highest value is judged by that value', () => {
    expect(marks(row(30, 'high'), { 'anonymous.fairlead': [1, 1, 50] })?.mark).toBe('misses');
  });

  test('that misses on a busy machine is marked as such', () => {
    const machine = { ...STAMP.machine, load: 2.5 };
    const [verdict] = verdictsOf({ idle: outcome('idle', { 'anonymous.fairlead': [60] }, { machine }) }, [row(30)]);
    expect(verdictsText(verdict ? [verdict] : [], 0)[1]).toMatch(/misses, on a busy machine$/);
  });

  test('that is a ratio is compared with the other figure of the same bench', () => {
    const verdict = marks(ratioRow, { 'anonymous.fairlead': [30], 'anonymous.node': [40] });
    expect(verdict).toMatchObject({ mark: 'misses', value: '30.0 MB', beside: '40.0 MB (0.75 ×)' });
  });

  test('whose bench has not run reports that', () => {
    expect(verdictsOf({}, [row(30)])[0]).toMatchObject({
      mark: 'not measured',
      why: 'the bench `idle` has not run',
    });
  });

  test('without its peer reports why', () => {
    const missing = [{ id: 'anonymous.node', why: 'no node here' }];
    const idle = outcome('idle', { 'anonymous.fairlead': [30] }, { missing });
    expect(verdictsOf({ idle }, [ratioRow])[0]).toMatchObject({ mark: 'not measured', why: 'no node here' });
  });
});

test('a row that misses is marked in the terminal, and counted', () => {
  const idle = outcome('idle', { 'anonymous.fairlead': [60] });
  const text = verdictsText(verdictsOf({ idle }, [row(30)]), 0);
  expect(text[1]).toMatch(/anonymous memory +60\.0 MB +≤ 30 MB +misses$/);
  expect(text.at(-1)).toContain('miss it: 1');
});

describe('the runner', () => {
  const kept: string[] = [];
  beforeEach(() => void kept.splice(0));
  const run = (loading: Benches['loading'], validate: Benches['validate'] = async () => undefined) =>
    runBenches({
      benches: { loading, validate } as Benches,
      names: ['loading', 'validate'],
      isQuick: false,
      hasSlowPeers: false,
      print: () => undefined,
      stamp: () => STAMP,
      finished: (one) => void kept.push(...Object.keys(one)),
    });

  test('merges the samples of several calls', async () => {
    const { loading } = await run(async ({ record }) => {
      record('large', [1]);
      record('large', [2, 3]);
      record('small', [4]);
    });
    expect(loading).toMatchObject({ failure: null, figures: [{ id: 'large', samples: [1, 2, 3] }, { id: 'small' }] });
  });

  test('reports a bench as broken that yields neither samples nor a reason for a figure', async () => {
    const { loading } = await run(async ({ record }) => record('large', [1]));
    expect(loading?.failure).toBe('it yielded nothing for small');
  });

  test('accepts a reason in place of a figure', async () => {
    const { loading } = await run(async ({ record, leaveOut }) => {
      record('large', [1]);
      leaveOut(['small'], 'too small');
    });
    expect(loading).toMatchObject({ failure: null, missing: [{ id: 'small', why: 'too small' }] });
  });

  test('continues after a broken bench', async () => {
    const { loading, validate } = await run(
      () => Promise.reject(new Error('no disk')),
      async ({ record }) => {
        record('validate.fairlead', [1]);
        record('validate.floor', [1]);
      },
    );
    expect(loading?.failure).toBe('no disk');
    expect(validate?.failure).toBeNull();
    expect(kept).toEqual(['loading', 'validate']);
  });
});

describe('results', () => {
  const idle = outcome('idle', { start: [1, 2] });
  const results = { schema: 1, benches: { idle } } as const;

  test('are read as they were written', () => {
    expect(parseResults(resultsText(results))).toEqual(results);
  });

  test('of a later run replace those of the same bench, and keep the others', () => {
    const loading = outcome('loading', { large: [1] });
    const merged = mergeResults(results, { loading });
    expect(Object.keys(merged.benches).sort()).toEqual(['idle', 'loading']);
  });

  test('of a broken bench replace nothing', () => {
    const broken = outcome('idle', {}, { failure: 'no disk' });
    expect(mergeResults(results, { idle: broken }).benches.idle).toBe(idle);
    expect(mergeResults(NO_RESULTS, { idle: broken }).benches.idle).toBe(broken);
  });

  test('of a quick run or of a broken bench are not written', () => {
    const quick = outcome('idle', { start: [1] }, { isQuick: true });
    const broken = outcome('loading', {}, { failure: 'no disk' });
    expect(publishable({ schema: 1, benches: { idle: quick, loading: broken } })).toEqual({});
  });
});

describe('the page', () => {
  const template = readFileSync(TEMPLATE, 'utf8');
  const idle = outcome('idle', {
    'anonymous.fairlead': [60],
    'anonymous.node': [40],
    'resident.fairlead': [1],
    start: [1],
  });
  const git = outcome('git', { '10.first.wire.fairlead': [4_000], '1000.first.wire.fairlead': [27_000] });
  const page = performancePage(template, { idle, git });

  test('has every row of the table', () => {
    expect(WEIGHTS.filter(({ what }) => !page.includes(`| ${what} |`))).toEqual([]);
  });

  test('marks a row that misses its target', () => {
    expect(page).toContain('| anonymous memory | 60.0 MB | ≤ 30 MB |  | **misses** | 2026-11-30, aaaaaaaaa |');
  });

  test('gives the reason for each row without a measurement', () => {
    expect(page).toMatch(/\| a file edited \|.*\| not measured: the bench `drift` has not run \|/);
  });

  test('draws the measured series, and names those without data', () => {
    expect(page).toContain('![First pull: bytes](images/performance-hosts-first-bytes.svg)');
    expect(page).toContain('First convergence: not measured yet.');
  });

  test('fills every placeholder of the template', () => {
    expect(page).not.toContain('<!--');
  });

  test('fails if the template lacks a placeholder', () => {
    expect(() => performancePage(template.replace('<!-- table -->', ''), {})).toThrow('<!-- table -->');
  });

  test('in docs/ is generated from the published results (`npm run bench-page` writes it)', () => {
    const published = readResults(RESULT_FILES.published).benches;
    expect(readFileSync(PAGE, 'utf8')).toBe(performancePage(template, published));
  });

  test('has its plots in docs/images, as the published results draw them', () => {
    for (const { file, plot } of growthPlots(readResults(RESULT_FILES.published).benches))
      if (plot !== null)
        expect(readFileSync(path.join(path.dirname(PAGE), 'images', file), 'utf8')).toBe(plotSvg(plot));
  });

  test('is never generated from a quick run', () => {
    const published = Object.values(readResults(RESULT_FILES.published).benches);
    expect(published.filter(({ isQuick }) => isQuick)).toEqual([]);
  });
});

describe('a plot', () => {
  test('draws a line through the points of each series, and names it', () => {
    const points = [10, 100, 1_000].map((x) => ({ x, y: x }));
    const svg = plotSvg({
      title: 'a < b',
      xLabel: 'x',
      yLabel: 'y',
      series: [{ name: 'ours', points, isPeer: false }],
    });
    expect(svg).toContain('<path d="M70 300L295 172L520 44"/>');
    expect(svg).toContain('>ours</text>');
    expect(svg).toContain('a &lt; b');
  });

  test('only has figures that the catalogue knows', () => {
    expect(unknownFigures()).toEqual([]);
  });

  test('rejects values without a logarithm', () => {
    const series = [{ name: 'ours', points: [{ x: 1, y: 0 }], isPeer: false }];
    expect(() => plotSvg({ title: 't', xLabel: 'x', yLabel: 'y', series })).toThrow('not above zero');
  });
});

describe('the peers', () => {
  const names = (options: Parameters<typeof choosePeers>[0]) => choosePeers(options).chosen.map(({ name }) => name);

  test('of a quick run are the script alone, and the others have a reason', () => {
    expect(names({ isQuick: true, hasSlowPeers: true })).toEqual(['script']);
    expect([...choosePeers({ isQuick: true, hasSlowPeers: true }).absent.keys()]).toEqual([
      'CFEngine',
      'Puppet',
      'ansible-pull',
    ]);
  });

  test('leave ansible-pull out unless slow peers are requested', () => {
    expect(names({ isQuick: false, hasSlowPeers: false })).toEqual(['script', 'CFEngine', 'Puppet']);
    expect(names({ isQuick: false, hasSlowPeers: true })).toContain('ansible-pull');
  });

  test('have a playbook that installs files, units and the stack', () => {
    const ansible = choosePeers({ isQuick: false, hasSlowPeers: true }).chosen.find(
      ({ name }) => name === 'ansible-pull',
    );
    const policy = ansible?.policy({ dir: 'x', files: '/srv/x', units: ['a.service'], containers: ['x-s0-1'] });
    const [play] = parse(policy?.['site.yml'] ?? '') as { tasks: object[]; handlers: object[] }[];
    expect(play?.tasks.flatMap(Object.keys)).toEqual([
      'copy',
      'copy',
      'loop',
      'notify',
      'meta',
      'systemd',
      'loop',
      'command',
    ]);
    expect(play?.handlers).toHaveLength(2);
  });
});
