/** YAML with positions: parsing never throws, every complaint has a place. */
import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  Lexer,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  type YAMLMap,
} from 'yaml';
import type { Issue } from './issue.ts';

export type KeyPath = readonly (string | number)[];

export interface Parsed {
  file: string;
  /** Plain data; undefined if the file cannot be read as YAML. */
  value: unknown;
  issues: Issue[];
  /**
   * Position of a key or list item; for a missing key, the position of its nearest parent. `file` is set if the value was
   * put together from several files.
   */
  locate(path: KeyPath): { file?: string; line: number; column: number };
  /** Whether the text at `path` is a literal block (`|`), whose lines follow its key one by one. */
  isBlock?(path: KeyPath): boolean;
}

/** Far more than a manifest needs, far less than an alias bomb expands to. */
const MAX_ALIASES = 100;
const MAX_BYTES = 4 * 1024 * 1024;
const MAX_NESTING = 100;
/** Lines, and items of flow lists and maps together. */
const MAX_PARTS = 30_000;
/** `:`, `?`, anchors, tags and aliases for each of these, and for the whole: a line as people write it has one or two. */
const INDICATORS_A_PART = 3;
const FREE_INDICATORS = 1_000;
/** Tokens that the lexer puts before the text of a plain or block scalar. */
const SCALAR = '\u001f';
/** Complaints of one file: who made more of them mends these first. */
const MAX_ISSUES = 100;
/** Tags that Compose has for merging; any other one means something that nobody here would carry out. */
const KNOWN_TAGS = /^Unresolved tag: !(reset|override)$/;

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
  const large = tooLarge(text);
  if (large !== null) return unreadable(at(large.line, 1, large.why));
  const lines = new LineCounter();
  const doc = withoutStackTraces(() =>
    parseDocument(text, {
      lineCounter: lines,
      merge: true,
      uniqueKeys: false,
      prettyErrors: false,
      logLevel: 'error',
    }),
  );
  const place = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const tags = doc.warnings.filter((w) => w.code === 'TAG_RESOLVE_FAILED' && !KNOWN_TAGS.test(w.message));
  const issues = [...doc.errors, ...tags].slice(0, MAX_ISSUES).map((e) => {
    const { line, column } = place(e.pos[0]);
    return at(line, column, `is not valid YAML: ${e.message}`);
  });
  for (const { offset, why } of wrongKeys(doc.contents as Node | null)) {
    const { line, column } = place(offset);
    issues.push(at(line, column, `is not valid YAML: ${why}`));
  }
  const pairsOf = createPairIndex();
  const locate = (path: KeyPath) => place(offsetOf(doc.contents as Node | null, path, pairsOf));
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

/** Maps by key, made when a place in them is first asked for: looking through thousands of entries each time would hang. */
function createPairIndex(): (map: YAMLMap) => ReadonlyMap<string, Pair> {
  const known = new WeakMap<YAMLMap, Map<string, Pair>>();
  return (map) => {
    const found = known.get(map);
    if (found) return found;
    const index = new Map<string, Pair>();
    for (const pair of map.items as Pair[])
      if (isScalar(pair.key) && !index.has(String(pair.key.value))) index.set(String(pair.key.value), pair);
    known.set(map, index);
    return index;
  };
}

/**
 * Keys that stand twice in one map (the library compares each with each, which hangs on large maps), and the one name in
 * which objects of JavaScript have a say: whoever reads on would lose it without a word.
 */
function wrongKeys(root: Node | null): { offset: number; why: string }[] {
  const found: { offset: number; why: string }[] = [];
  const walk = (node: unknown): void => {
    if (isSeq(node)) for (const item of node.items) walk(item);
    if (!isMap(node)) return;
    const keys = new Set<unknown>();
    for (const { key, value } of node.items) {
      if (isScalar(key)) {
        const offset = key.range?.[0] ?? 0;
        if (key.value === '__proto__') found.push({ offset, why: '`__proto__` cannot be a name' });
        // YAML 1.1 merges may stand several times.
        if (keys.has(key.value) && key.value !== '<<')
          found.push({
            offset,
            why: `map keys must be unique; \`${String(key.value).slice(0, 80)}\` is there already`,
          });
        keys.add(key.value);
      }
      walk(value);
    }
  };
  walk(root);
  return found;
}

/** Offset in the text of the key at `path`, as far as it goes. */
function offsetOf(root: Node | null, path: KeyPath, pairsOf: (map: YAMLMap) => ReadonlyMap<string, Pair>): number {
  let node: Node | null | undefined = root;
  let offset = root?.range?.[0] ?? 0;
  for (const step of path) {
    if (isMap(node)) {
      const pair = pairsOf(node).get(String(step));
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

/** Says why a text exceeds any honest manifest, and where; null if it does not. The parser recurses, and takes its time. */
function tooLarge(text: string): { line: number; why: string } | null {
  let flow = 0;
  let line = 1;
  let items = 0;
  let dashes = 0;
  let start = true;
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (char === '\n') {
      line++;
      dashes = 0;
      start = true;
    } else if (char === '[' || char === '{') flow++;
    else if ((char === ']' || char === '}') && flow > 0) flow--;
    else if (char === ',' && flow > 0) items++;
    if (start && (char === '-' || char === '?')) dashes++;
    else if (char !== ' ' && char !== '\n') start = false;
    else if (start && char === ' ') dashes += 0.5;
    if (flow > MAX_NESTING || dashes > MAX_NESTING * 4) return { line, why: `is nested more than ${MAX_NESTING} deep` };
    if (line + items > MAX_PARTS) return { line, why: `has more than ${MAX_PARTS} lines and list items; split it` };
  }
  let left = FREE_INDICATORS + INDICATORS_A_PART * (line + items);
  line = 1;
  let before = '';
  // The lexer is much faster than the parser, which may complain at each of these.
  for (const token of new Lexer().lex(text)) {
    if (before !== SCALAR && /^[:?&!*]/.test(token)) left--;
    if (left < 0) return { line, why: 'has lines with too many `:`, `?`, `&`, `!` or `*`; is this YAML?' };
    if (token.includes('\n')) line += token.split('\n').length - 1;
    before = token;
  }
  return null;
}

/** The parser makes an Error for each complaint, and most of its time would go into traces that nobody reads. */
function withoutStackTraces<T>(act: () => T): T {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return act();
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}
