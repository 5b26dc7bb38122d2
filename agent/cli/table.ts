/** Tables that fit, and text that cannot play tricks on a terminal. Pure. */

export interface Style {
  bold(text: string): string;
  red(text: string): string;
  green(text: string): string;
  yellow(text: string): string;
}

export function createStyle(color: boolean): Style {
  const paint = (code: number) => (text: string) => (color ? `\u001b[${code}m${text}\u001b[0m` : text);
  return { bold: paint(1), red: paint(31), green: paint(32), yellow: paint(33) };
}

/** Control characters in what others wrote (commit subjects, log lines) are shown as `·`. */
export const plain = (text: string): string =>
  [...text].map((c) => (c === '\n' || c === '\u001b' || c >= ' ' ? c : '·')).join('');

/** The same, escape sequences included: for single pieces of foreign text. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
export const tame = (text: string): string => text.replace(/[\u0000-\u001f\u007f-\u009f]/g, '·');

const GAP = 2;

/** Columns as wide as they need; the last one gives way, then the widest. No line is longer than `columns`. */
export function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  columns: number,
  style: Style,
): string {
  const cells = rows.map((row) => row.map(tame));
  const widths = head.map((h, i) => Math.max(h.length, ...cells.map((row) => (row[i] ?? '').length)));
  const total = () => widths.reduce((a, b) => a + b, 0) + GAP * (widths.length - 1);
  while (total() > columns) {
    const last = widths.length - 1;
    const widest = (widths[last] ?? 0) > 12 ? last : widths.indexOf(Math.max(...widths));
    const width = widths[widest] ?? 0;
    if (width <= 3) break;
    widths[widest] = Math.max(3, Math.min(width - 1, width - (total() - columns)));
  }
  const line = (row: readonly string[]) =>
    row
      .map((cell, i) => clip(cell, widths[i] ?? 0))
      .join(' '.repeat(GAP))
      .trimEnd();
  return [style.bold(line(head)), ...cells.map(line)].join('\n');
}

const clip = (text: string, width: number): string =>
  text.length <= width ? text.padEnd(width) : `${text.slice(0, Math.max(0, width - 1))}…`;
