/** The output in the terminal: the figures of one bench, and the whole table at the end. */
import { amountText, type Figure } from './figure.ts';
import { isOfPull, pullsTable } from './pulls.ts';
import { markText, type Verdict } from './verdict.ts';

/** A figure on a line, with its spread; figures of other tools have their ratio to fairlead. */
export function figuresText(figures: readonly Figure[]): string[] {
  const ours = new Map(
    figures.filter(({ id }) => id.endsWith('.fairlead')).map((one) => [one.id.replace(/\.fairlead$/, ''), one]),
  );
  const pulls = figures.filter(isOfPull);
  const cells = figures
    .filter((figure) => !isOfPull(figure))
    .map((figure) => {
      const own = ours.get(figure.id.slice(0, figure.id.lastIndexOf('.')));
      return [
        figure.what,
        amountText(figure.median, figure.unit),
        figure.n > 1 ? `${amountText(figure.low, figure.unit)} to ${amountText(figure.high, figure.unit)}` : '',
        figure.n > 1 ? `p99 ${amountText(figure.p99, figure.unit)}` : '',
        `n ${figure.n}`,
        own === undefined || own === figure || figure.median === 0
          ? ''
          : `fairlead ${(own.median / figure.median).toFixed(2)} ×`,
      ];
    });
  return [...(pulls.length > 0 ? columns(pullsTable(pulls)) : []), ...columns(cells)].map((line) => `   ${line}`);
}

/**
 * The table: each row with its target and its verdict, and the number of misses.
 * @param others rows of benches that were not requested
 */
export function verdictsText(verdicts: readonly Verdict[], others: number): string[] {
  const lines: string[] = [];
  const rows = columns(
    verdicts.map((verdict) => [
      `  ${verdict.weight.what}`,
      verdict.value,
      verdict.target,
      verdict.beside,
      verdict.why === '' ? markText(verdict) : `${verdict.mark}: ${verdict.why}`,
    ]),
  );
  let group = '';
  for (const [index, { weight }] of verdicts.entries()) {
    if (weight.group !== group) lines.push(weight.group);
    group = weight.group;
    lines.push(rows[index] ?? '');
  }
  const count = (...marks: Verdict['mark'][]) => verdicts.filter(({ mark }) => marks.includes(mark)).length;
  const missed = count('misses', 'misses narrowly');
  lines.push(
    '',
    `meet their target: ${count('meets')}; miss it: ${missed}, ${count('misses narrowly')} of these by what is noise; have none: ${count('stated')}; not measured: ${count('not measured')}`,
  );
  if (others > 0) lines.push(`rows of benches that were not asked for: ${others}`);
  return lines;
}

/** The first and the last column are aligned left; numbers are aligned right. */
function columns(rows: readonly (readonly string[])[]): string[] {
  const count = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: count }, (_, i) => Math.max(...rows.map((row) => [...(row[i] ?? '')].length)));
  return rows.map((row) =>
    row
      .map((cell, i) => {
        const gap = ' '.repeat((widths[i] ?? 0) - [...cell].length);
        return i === 0 || i === row.length - 1 ? cell + gap : gap + cell;
      })
      .join('  ')
      .trimEnd(),
  );
}
