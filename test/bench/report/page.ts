/** docs/performance.md: the template with the table, the plots, the machine and the raw numbers in its placeholders. Pure. */
import { BENCH_NAMES } from './catalogue.ts';
import { type Figure, numberText } from './figure.ts';
import { growthPlots } from './growth-plots.ts';
import type { Machine } from './machine.ts';
import { isOfPull, pullsTable } from './pulls.ts';
import { missingLines, type Outcome, type Outcomes } from './results.ts';
import { type Mark, markText, type Verdict, verdictsOf } from './verdict.ts';
import { isMeasured } from './weights.ts';

/** @throws if the template lacks a placeholder, so that nothing is lost silently */
export function performancePage(template: string, outcomes: Outcomes): string {
  const verdicts = verdictsOf(outcomes);
  const parts: Readonly<Record<string, string>> = {
    summary: summaryText(verdicts),
    table: tableText(verdicts, outcomes),
    plots: plotsText(outcomes),
    machine: machineText(outcomes),
    'raw numbers': rawText(outcomes),
  };
  return Object.entries(parts).reduce((page, [name, text]) => {
    const place = `<!-- ${name} -->`;
    if (page.split(place).length !== 2) throw new Error(`the template needs one place ${place}`);
    return page.replace(place, () => text);
  }, template);
}

const count = (verdicts: readonly Verdict[], ...marks: Mark[]): number =>
  verdicts.filter(({ mark }) => marks.includes(mark)).length;

function summaryText(verdicts: readonly Verdict[]): string {
  const judged = count(verdicts, 'meets', 'misses', 'misses narrowly');
  return `Of ${verdicts.length} rows, ${judged} were measured and have a target: **${count(verdicts, 'meets')} meet it, ${count(verdicts, 'misses')} miss it, and ${count(verdicts, 'misses narrowly')} miss it narrowly**, by less than a quarter, which is noise on one machine. Of those that miss, ${verdicts.filter(({ mark, isBusy }) => mark.startsWith('misses') && isBusy).length} were measured while others used the machine as well, and should be measured again.`;
}

function tableText(verdicts: readonly Verdict[], outcomes: Outcomes): string {
  const lines: string[] = [];
  let group = '';
  for (const verdict of verdicts) {
    const { weight, mark, value, target, beside, why } = verdict;
    if (weight.group !== group) lines.push(`| **${weight.group}** | | | | | |`);
    group = weight.group;
    const outcome = isMeasured(weight) ? outcomes[weight.bench] : undefined;
    const answer = why === '' ? answerText(verdict) : `${mark}: ${why}`;
    const when = outcome === undefined || mark === 'not measured' ? '' : whenText(outcome);
    lines.push(`| ${weight.what} | ${value} | ${target} | ${beside} | ${answer} | ${when} |`);
  }
  return ['| what | fairlead | target | beside | | measured |', '|---|--:|---|--:|---|---|', ...lines].join('\n');
}

function answerText(verdict: Verdict): string {
  if (verdict.mark === 'stated') return '';
  return verdict.mark === 'meets' ? 'meets' : `**${markText(verdict)}**`;
}

const whenText = ({ at, commit, isChanged }: Outcome): string =>
  `${at.slice(0, 10)}, ${commit.slice(0, 9)}${isChanged ? ' and changes' : ''}`;

const plotsText = (outcomes: Outcomes): string =>
  growthPlots(outcomes)
    .map(({ file, title, plot }) => (plot === null ? `${title}: not measured yet.` : `![${title}](images/${file})`))
    .join('\n\n');

function machineText(outcomes: Outcomes): string {
  const benches = BENCH_NAMES.flatMap((name) => {
    const outcome = outcomes[name];
    return outcome === undefined ? [] : [{ name, outcome }];
  });
  if (benches.length === 0) return 'Nothing has been measured yet.';
  const lines = benches.map(
    ({ name, outcome }) =>
      `| ${name} | ${whenText(outcome)} | ${outcome.seconds} s | ${outcome.machine.load} | ${outcome.machine.loopMs} ms | ${kindOf(outcome.machine)} |`,
  );
  return ['| bench | measured | took | load before | loop | machine |', '|---|---|--:|--:|--:|---|', ...lines].join(
    '\n',
  );
}

const kindOf = ({ cores, cpu, memoryGb, kernel, node, git, docker }: Machine): string =>
  `${cores} × ${cpu}, ${memoryGb} GB, Linux ${kernel}, Node ${node}, git ${git}${docker === '' ? '' : `, Docker ${docker}`}`;

function rawText(outcomes: Outcomes): string {
  const parts = BENCH_NAMES.flatMap((name) => {
    const outcome = outcomes[name];
    if (outcome === undefined) return [];
    const pulls = outcome.figures.filter(isOfPull);
    const others = outcome.figures.filter((figure) => !isOfPull(figure));
    const tables = [...(pulls.length > 0 ? [pullsText(pulls)] : []), figuresTable(others)];
    const missing = missingLines(outcome.missing).map((line) => `- ${line}`);
    return [`### ${name}`, ...tables, ...(missing.length > 0 ? [missing.join('\n')] : [])];
  });
  return parts.length === 0 ? 'Nothing has been measured yet.' : parts.join('\n\n');
}

/** With fewer samples, the 99th percentile is the highest of them, which the table has already. */
const SAMPLES_OF_P99 = 50;

function figuresTable(figures: readonly Figure[]): string {
  const rows = figures.map(
    ({ what, unit, n, median, low, high, p99 }) =>
      `| ${what} | ${unit} | ${numberText(median)} | ${numberText(low)} | ${numberText(high)} | ${n >= SAMPLES_OF_P99 ? numberText(p99) : ''} | ${n} |`,
  );
  return [
    '| figure | unit | median | lowest | highest | p99 | samples |',
    '|---|---|--:|--:|--:|--:|--:|',
    ...rows,
  ].join('\n');
}

function pullsText(figures: readonly Figure[]): string {
  const [head = [], ...rows] = pullsTable(figures);
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), `|---|${'--:|'.repeat(head.length - 1)}`, ...rows.map(line)].join('\n');
}
