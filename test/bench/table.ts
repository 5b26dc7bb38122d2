/** The figures of one part, as columns; the last column is a ratio where there is something to compare with. */
export interface Row {
  what: string;
  value: number;
  unit: 'ms' | 'MB' | '%' | 'KB';
  /** Measured in the same run. */
  against?: { name: string; value: number };
}

export function print(rows: readonly Row[]): void {
  const cells = rows.map((row) => [
    row.what,
    `${round(row.value)} ${row.unit}`,
    row.against ? `${row.against.name} ${round(row.against.value)} ${row.unit}` : '',
    row.against && row.against.value > 0 ? `${(row.value / row.against.value).toFixed(2)} ×` : '',
  ]);
  const widths = [0, 1, 2, 3].map((i) => Math.max(...cells.map((c) => (c[i] ?? '').length)));
  for (const row of cells)
    console.log(
      row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('  '),
    );
}

const round = (value: number): string =>
  value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : value.toFixed(0);

export const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
};

export const percentile = (values: readonly number[], part: number): number =>
  [...values].sort((a, b) => a - b)[Math.ceil(values.length * part) - 1] ?? Number.NaN;
