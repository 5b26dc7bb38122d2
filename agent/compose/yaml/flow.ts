/**
 * Lines within brackets or quotes need no indentation for go-yaml (`]` below its key, and even at the margin); YAML 1.2
 * and js-yaml want them deeper than the block around. So they are moved to the right before a second reading. Pure.
 */

export interface Indented {
  text: string;
  /** An offset of the new text → that of the old one. */
  original(offset: number): number;
}

interface Insertion {
  /** In the old text: the beginning of a line. */
  at: number;
  spaces: number;
}

/** null if there is nothing to move, or too much. */
export function indentFlow(text: string): Indented | null {
  const insertions = findShallow(text);
  const total = insertions.reduce((sum, { spaces }) => sum + spaces, 0);
  if (total === 0 || total > text.length + 1_000_000) return null;
  let moved = '';
  let from = 0;
  const shifts: { from: number; by: number }[] = [];
  let by = 0;
  for (const { at, spaces } of insertions) {
    moved += text.slice(from, at) + ' '.repeat(spaces);
    from = at;
    by += spaces;
    shifts.push({ from: at + by, by });
  }
  return { text: moved + text.slice(from), original: (offset) => offset - shiftAt(shifts, offset) };
}

function shiftAt(shifts: readonly { from: number; by: number }[], offset: number): number {
  let low = -1;
  let high = shifts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((shifts[middle]?.from ?? 0) <= offset) low = middle;
    else high = middle - 1;
  }
  return shifts[low]?.by ?? 0;
}

/** Lines inside of brackets or quotes that begin further left than these do. */
function findShallow(text: string): Insertion[] {
  const insertions: Insertion[] = [];
  let depth = 0;
  let quote = '';
  /** Column that a line inside must reach. */
  let column = 0;
  /** Indentation of the line that a block text hangs from, or -1. */
  let block = -1;
  for (let start = 0; start < text.length; ) {
    const newline = text.indexOf('\n', start);
    const end = newline === -1 ? text.length : newline;
    const line = text.slice(start, end);
    const indent = line.length - line.trimStart().length;
    const inside = depth > 0 || quote !== '';
    if (inside) {
      if (indent < column && indent < line.length && !/^(---|\.\.\.)(\s|$)/.test(line))
        insertions.push({ at: start, spaces: column - indent });
    } else if (block >= 0 && (indent > block || line.trim() === '')) {
      start = end + 1;
      continue;
    } else block = -1;
    const state = scanLine(line, { depth, quote });
    if (!inside && (state.depth > 0 || state.quote !== '')) column = state.opened + 1;
    ({ depth, quote } = state);
    if (depth === 0 && quote === '' && /(^|[\s:-])[|>][-+0-9]*\s*(#.*)?$/.test(line)) block = indent;
    start = end + 1;
  }
  return insertions;
}

/** The brackets that are open at the end of a line, and where the outermost of them began. */
function scanLine(line: string, { depth, quote }: { depth: number; quote: string }) {
  const state = { depth, quote, opened: 0 };
  /** A value may begin here: brackets and quotes within a plain text are part of it. */
  let fresh = true;
  for (let i = 0; i < line.length; i++) {
    const char = line[i] ?? '';
    if (state.quote !== '') {
      if (state.quote === '"' && char === '\\') i++;
      else if (char === state.quote) {
        if (char === "'" && line[i + 1] === "'") i++;
        else state.quote = '';
      }
      fresh = false;
    } else if (char === '#' && (i === 0 || /\s/.test(line[i - 1] ?? ''))) break;
    else if (state.depth > 0 && (char === ']' || char === '}')) {
      state.depth--;
      fresh = false;
    } else if (state.depth > 0 && char === ',') fresh = true;
    else if ((char === '[' || char === '{') && (fresh || state.depth > 0)) {
      if (state.depth++ === 0) state.opened = i;
      fresh = true;
    } else if (fresh && (char === '"' || char === "'")) {
      if (state.depth === 0) state.opened = i;
      state.quote = char;
    } else if (char === ':' || ((char === '-' || char === '?') && fresh))
      fresh = /^$|\s/.test(line[i + 1] ?? '') || state.depth > 0;
    // After an anchor or a tag comes the value.
    else if (fresh && (char === '&' || char === '!')) {
      while (i + 1 < line.length && !/[\s,[\]{}]/.test(line[i + 1] ?? '')) i++;
    } else if (!/\s/.test(char)) fresh = false;
  }
  return state;
}
