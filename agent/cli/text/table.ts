/** Tables that fit, and text that cannot play tricks on a terminal. Pure. */
import { tame, tameLines } from '../../tame.ts';

export interface Style {
  bold(text: string): string;
  dim(text: string): string;
  red(text: string): string;
  green(text: string): string;
  yellow(text: string): string;
}

/** Width of the terminal, and whether it has colours. */
export interface Page {
  /** Infinity where lines are not to be broken. */
  readonly columns: number;
  style: Style;
}

export function createStyle(color: boolean): Style {
  const paint = (code: number) => (text: string) => (color ? `\u001b[${code}m${text}\u001b[0m` : text);
  return { bold: paint(1), dim: paint(2), red: paint(31), green: paint(32), yellow: paint(33) };
}

/** The sequences that createStyle writes, and no others: SGR of ECMA-48, 8.3.117. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they begin with one
const PAINTED = /(\u001b\[(?:0|1|2|31|32|33)m)/;

/** A text that may be painted: what else is in it can steer no terminal. */
export const plain = (text: string): string =>
  text
    .split(PAINTED)
    .map((part, i) => (i % 2 === 1 ? part : tameLines(part)))
    .join('');

const WIDE =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u;
const NARROW = /\p{Mark}|\u200b|\u200d/u;
const characters = new Intl.Segmenter();
/** Each of these takes one column, and needs no segmenter: ten thousand rows of it took seconds. */
const PRINTABLE_ASCII = /^[ -~]*$/;

/** Columns that a text takes on a terminal: East Asian characters and emoji take two. */
export function widthOf(text: string): number {
  if (PRINTABLE_ASCII.test(text)) return text.length;
  let width = 0;
  for (const { segment } of characters.segment(text))
    width += WIDE.test(segment) ? 2 : NARROW.test(segment) && segment.length === 1 ? 0 : 1;
  return width;
}

const GAP = 2;

/**
 * Columns as wide as they need; the last one gives way, then the widest. No line is longer than the page.
 * @param paint what a cell looks like; it must not make it wider
 */
export function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  { columns, style }: Page,
  paint: (cell: string, column: number) => string = (cell) => cell,
): string {
  const cells = rows.map((row) => row.map(tame));
  const widths = head.map((h, i) => Math.max(widthOf(h), ...cells.map((row) => widthOf(row[i] ?? ''))));
  const total = () => widths.reduce((a, b) => a + b, 0) + GAP * (widths.length - 1);
  while (total() > columns) {
    const last = widths.length - 1;
    const widest = (widths[last] ?? 0) > 12 ? last : widths.indexOf(Math.max(...widths));
    const width = widths[widest] ?? 0;
    if (width <= 3) break;
    widths[widest] = Math.max(3, Math.min(width - 1, width - (total() - columns)));
  }
  const line = (row: readonly string[], look: typeof paint) =>
    row
      .map((cell, i) => {
        const shown = clip(cell, widths[i] ?? 0);
        const blank = i === row.length - 1 ? '' : ' '.repeat(Math.max(0, (widths[i] ?? 0) - widthOf(shown)));
        return look(shown, i) + blank;
      })
      .join(' '.repeat(GAP))
      .trimEnd();
  const rule = (cell: string) => style.bold(cell);
  return [line(head, rule), ...cells.map((row) => line(row, paint))].join('\n');
}

/** Cut at `width` columns, with a mark where something is missing. */
export function clip(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  let shown = '';
  let used = 0;
  for (const { segment } of characters.segment(text)) {
    used += widthOf(segment);
    if (used > width - 1) break;
    shown += segment;
  }
  return width > 0 ? `${shown}…` : '';
}

/** Broken at blanks where it is longer than the page; further lines are indented. Escape sequences take no room. */
export function wrap(text: string, columns: number, indent = 0): string {
  if (columns === Number.POSITIVE_INFINITY) return text;
  return text
    .split('\n')
    .flatMap((line) => wrapLine(line, columns, indent))
    .join('\n');
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: the sequences that createStyle writes
const PAINT = /\u001b\[\d+m/g;
const visible = (text: string): number => widthOf(text.replaceAll(PAINT, ''));

function wrapLine(line: string, columns: number, indent: number): string[] {
  const lines: string[] = [];
  let current = '';
  for (const word of line.split(/(?<=\S)(?= )/)) {
    if (current.trim() !== '' && visible(current + word) > columns) {
      lines.push(current.trimEnd());
      current = ' '.repeat(indent) + word.trimStart();
    } else current += word;
  }
  return [...lines, current.trimEnd()];
}
