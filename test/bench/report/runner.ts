/** Runs benches one after another and collects their figures. A broken bench does not stop the others. */
import { type BenchName, type FigureId, figuresOf } from './catalogue.ts';
import { type Figure, figureOf } from './figure.ts';
import type { Stamp } from './machine.ts';
import { type Missing, missingLines, type Outcome, type Outcomes } from './results.ts';
import { figuresText } from './terminal.ts';

/** The parameters of a bench. */
export interface BenchRun<B extends BenchName> {
  /** Fewer repetitions and smaller sizes. */
  isQuick: boolean;
  /** Peers that need minutes for a run take part. */
  hasSlowPeers: boolean;
  log(line: string): void;
  /** @param samples in the figure's unit; those of several calls are merged */
  record(id: FigureId<B>, samples: readonly number[]): void;
  /** Records why these figures cannot be measured in this run. */
  leaveOut(ids: readonly FigureId<B>[], why: string): void;
}

export type Benches = { readonly [B in BenchName]: (run: BenchRun<B>) => Promise<void> };

export interface RunOptions {
  benches: Benches;
  names: readonly BenchName[];
  isQuick: boolean;
  hasSlowPeers: boolean;
  print(line: string): void;
  stamp(): Stamp;
  /** Called after each bench, so that an interrupted run keeps its results. */
  finished(outcomes: Outcomes): void;
}

export async function runBenches({ benches, names, print, finished, ...options }: RunOptions): Promise<Outcomes> {
  const outcomes: [BenchName, Outcome][] = [];
  const start = <B extends BenchName>(name: B) => runBench({ name, bench: benches[name], print, ...options });
  for (const name of names) {
    print(`\n── ${name} ──`);
    const outcome = await start(name);
    outcomes.push([name, outcome]);
    finished({ [name]: outcome });
    for (const line of figuresText(outcome.figures)) print(line);
    for (const line of missingLines(outcome.missing)) print(`   ${line}`);
    if (outcome.failure !== null) print(`   the bench broke: ${outcome.failure}`);
  }
  return Object.fromEntries(outcomes);
}

interface OneBench<B extends BenchName> {
  name: B;
  bench: (run: BenchRun<B>) => Promise<void>;
  isQuick: boolean;
  hasSlowPeers: boolean;
  print(line: string): void;
  stamp(): Stamp;
}

async function runBench<B extends BenchName>({ name, bench, print, ...options }: OneBench<B>): Promise<Outcome> {
  const samples = new Map<string, number[]>();
  const reasons = new Map<string, string>();
  const began = new Date();
  const stamp = options.stamp();
  const failure = await bench({
    ...options,
    log: (line) => print(`   ${line}`),
    record: (id, values) => void samples.set(id, [...(samples.get(id) ?? []), ...values]),
    leaveOut: (ids, why) => void ids.map((id) => reasons.set(id, why)),
  }).then(
    () => null,
    (thrown: unknown) => (thrown instanceof Error ? thrown.message : String(thrown)),
  );
  const { figures, missing, silent } = gather({ name, samples, reasons, failure });
  return {
    at: began.toISOString(),
    ...stamp,
    isQuick: options.isQuick,
    seconds: Math.round((Date.now() - began.getTime()) / 1_000),
    figures,
    missing,
    failure: failure ?? (silent.length > 0 ? `it yielded nothing for ${silent.join(', ')}` : null),
  };
}

interface Gathered {
  figures: Figure[];
  missing: Missing[];
  /** Figures that the bench neither recorded nor excused, although it finished. */
  silent: string[];
}

function gather(bench: {
  name: BenchName;
  samples: ReadonlyMap<string, readonly number[]>;
  reasons: ReadonlyMap<string, string>;
  failure: string | null;
}): Gathered {
  const gathered: Gathered = { figures: [], missing: [], silent: [] };
  for (const [id, text] of Object.entries(figuresOf(bench.name))) {
    const values = bench.samples.get(id) ?? [];
    const why = bench.reasons.get(id);
    if (values.length > 0 && values.every(Number.isFinite)) gathered.figures.push(figureOf(id, text, values));
    else if (why !== undefined) gathered.missing.push({ id, why });
    else if (bench.failure !== null) gathered.missing.push({ id, why: 'the bench broke before it' });
    else gathered.silent.push(id);
  }
  return gathered;
}
