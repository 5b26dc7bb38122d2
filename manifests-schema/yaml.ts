/** YAML with positions: parsing never throws, every complaint has a place. */
import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, type Pair, parseDocument } from 'yaml';
import type { Issue } from './issue.ts';

export type KeyPath = readonly (string | number)[];

export interface Parsed {
  file: string;
  /** Plain data; undefined where the file cannot be read as YAML. */
  value: unknown;
  issues: Issue[];
  /**
   * Where a key (or list item) stands; of a key that is not there, where its nearest parent stands. `file` is given
   * where the value was put together from several files.
   */
  locate(path: KeyPath): { file?: string; line: number; column: number };
  /** Whether the text at `path` is a literal block (`|`), whose lines follow its key one by one. */
  isBlock?(path: KeyPath): boolean;
}

/** Far more than a manifest needs, far less than an alias bomb expands to. */
const MAX_ALIASES = 100;
const MAX_BYTES = 4 * 1024 * 1024;
const MAX_NESTING = 100;

export function parseYaml(file: string, text: string): Parsed {
  const at = (line: number, column: number, message: string): Issue => ({
    file,
    line,
    column,
    key: '',
    message,
    severity: 'error',
  });
  const unreadable = (issue: Issue): Parsed => ({
    file,
    value: undefined,
    issues: [issue],
    locate: () => ({ line: 1, column: 1 }),
  });
  if (text.length > MAX_BYTES)
    return unreadable(at(1, 1, `has ${text.length} characters; a manifest may have ${MAX_BYTES} at most`));
  const deep = tooDeep(text);
  if (deep !== null) return unreadable(at(deep, 1, `is nested more than ${MAX_NESTING} deep`));
  const lines = new LineCounter();
  const doc = parseDocument(text, { lineCounter: lines, merge: true, uniqueKeys: true, prettyErrors: false });
  const place = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const issues = doc.errors.map((e) => {
    const { line, column } = place(e.pos[0]);
    return at(line, column, `is not valid YAML: ${e.message}`);
  });
  const locate = (path: KeyPath) => place(offsetOf(doc.contents as Node | null, path));
  const isBlock = (path: KeyPath) => {
    const node = doc.getIn(path, true);
    return isScalar(node) && node.type === 'BLOCK_LITERAL';
  };
  if (issues.length > 0) return { file, value: undefined, issues, locate };
  try {
    return { file, value: doc.toJS({ maxAliasCount: MAX_ALIASES }), issues, locate, isBlock };
  } catch (thrown) {
    return unreadable(at(1, 1, `cannot be read: ${thrown instanceof Error ? thrown.message : String(thrown)}`));
  }
}

/** Offset in the text of the key at `path`, as far as it goes. */
function offsetOf(root: Node | null, path: KeyPath): number {
  let node: Node | null | undefined = root;
  let offset = root?.range?.[0] ?? 0;
  for (const step of path) {
    if (isMap(node)) {
      const pair = (node.items as Pair[]).find((p) => isScalar(p.key) && String(p.key.value) === String(step));
      if (!pair) return offset;
      offset = (pair.key as Node).range?.[0] ?? offset;
      node = pair.value as Node | null;
    } else if (isSeq(node)) {
      node = node.items[Number(step)] as Node | undefined;
      offset = node?.range?.[0] ?? offset;
    } else return offset;
    if (isAlias(node)) return offset;
  }
  return offset;
}

/** The first line at which flow or block nesting is deeper than any honest manifest's, or null. The parser recurses. */
function tooDeep(text: string): number | null {
  let flow = 0;
  let line = 1;
  let dashes = 0;
  let start = true;
  for (const char of text) {
    if (char === '\n') {
      line++;
      dashes = 0;
      start = true;
      continue;
    }
    if (char === '[' || char === '{') flow++;
    else if ((char === ']' || char === '}') && flow > 0) flow--;
    if (start && (char === '-' || char === '?')) dashes++;
    else if (char !== ' ') start = false;
    else if (start) dashes += 0.5;
    if (flow > MAX_NESTING || dashes > MAX_NESTING * 4) return line;
  }
  return null;
}
