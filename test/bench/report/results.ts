/**
 * Results of benches as one JSON document: what was measured when, at which commit, on which machine. Later runs replace a bench
 * completely.
 */
import type { BenchName } from './catalogue.ts';
import type { Figure } from './figure.ts';
import type { Stamp } from './machine.ts';

/** A figure that a bench could not measure. */
export interface Missing {
  id: string;
  why: string;
}

/** What was not measured, one line for each reason: a size that is left out removes many figures. */
export function missingLines(missing: readonly Missing[]): string[] {
  const byReason = new Map<string, string[]>();
  for (const { id, why } of missing) byReason.set(why, [...(byReason.get(why) ?? []), id]);
  return [...byReason].map(([why, ids]) => {
    const more = ids.length > NAMED ? ` and ${ids.length - NAMED} more` : '';
    return `${ids.slice(0, NAMED).join(', ')}${more}: not measured, ${why}`;
  });
}
const NAMED = 3;

export interface Outcome extends Stamp {
  /** When the bench began, ISO 8601. */
  at: string;
  /** Fewer repetitions and smaller sizes; never written to docs/performance.md. */
  isQuick: boolean;
  seconds: number;
  figures: readonly Figure[];
  missing: readonly Missing[];
  /** Why the bench was aborted. */
  failure: string | null;
}

export type Outcomes = Partial<Readonly<Record<BenchName, Outcome>>>;

export interface Results {
  schema: 1;
  benches: Outcomes;
}

export const NO_RESULTS: Results = { schema: 1, benches: {} };

/** The newer results of each bench; but a broken bench does not replace a complete one. */
export function mergeResults(earlier: Results, later: Outcomes): Results {
  const kept = Object.entries(later).filter(([name, { failure, at }]) => {
    const known = earlier.benches[name as BenchName];
    return known === undefined || (failure === null && at >= known.at);
  });
  return { schema: 1, benches: { ...earlier.benches, ...Object.fromEntries(kept) } };
}

/** The benches whose figures may be published. */
export const publishable = ({ benches }: Results): Outcomes =>
  Object.fromEntries(Object.entries(benches).filter(([, { isQuick, failure }]) => !isQuick && failure === null));

/** One figure on a line, so that two documents can be compared. */
export function resultsText({ benches }: Results): string {
  const names = Object.keys(benches).sort() as BenchName[];
  const texts = names.map((name) => {
    const { figures, missing, ...head } = benches[name] as Outcome;
    const lines = (all: readonly unknown[]) => all.map((one) => `\n    ${JSON.stringify(one)}`).join(',');
    return `  ${JSON.stringify(name)}: {\n   "about": ${JSON.stringify(head)},\n   "figures": [${lines(figures)}],\n   "missing": [${lines(missing)}]}`;
  });
  return `{"schema": 1, "benches": {\n${texts.join(',\n')}\n}}\n`;
}

/** @throws for a document in another format */
export function parseResults(text: string): Results {
  const { schema, benches } = JSON.parse(text) as { schema: number; benches: Record<string, WrittenBench> };
  if (schema !== 1) throw new Error(`results of form ${schema} cannot be read: this version reads form 1`);
  const outcomes = Object.entries(benches).map(([name, { about, figures, missing }]) => [
    name,
    { ...about, figures, missing },
  ]);
  return { schema: 1, benches: Object.fromEntries(outcomes) as Outcomes };
}

interface WrittenBench extends Pick<Outcome, 'figures' | 'missing'> {
  about: Omit<Outcome, 'figures' | 'missing'>;
}
