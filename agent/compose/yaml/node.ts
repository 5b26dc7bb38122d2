/** A compose file as a tree whose every value knows where it was written. Pure. */
import type { Issue } from '../../core/types.ts';

/** One reading of one file. Reading it twice (say, by `extends` and by `include`) makes two sources. */
export interface Source {
  /** Path in the repository. */
  file: string;
  layer: string;
  /** Directory in the repository that its relative paths start from. */
  dir: string;
  /** The same directory on the host, absolute. */
  hostDir: string;
  /** Offset at which each line begins. */
  lines: readonly number[];
}

export interface Place {
  source: Source;
  /** Characters from the beginning of the file. */
  offset: number;
}

export type ScalarValue = string | number | bigint | boolean | null;
export type ScalarType = 'string' | 'int' | 'float' | 'bool' | 'null' | 'time';

export interface ScalarNode {
  kind: 'scalar';
  type: ScalarType;
  /** Of `time`: the text that Go prints for it. */
  value: ScalarValue;
  at: Place;
  /** For a path that was made absolute: the file or directory of the repository that it names. */
  repo?: string;
}
export interface MapNode {
  kind: 'map';
  entries: Map<string, Node>;
  at: Place;
}
export interface ListNode {
  kind: 'list';
  items: Node[];
  at: Place;
}
export type Node = ScalarNode | MapNode | ListNode;
export type KeyPath = readonly (string | number)[];

export const text = (value: string, at: Place): ScalarNode => ({ kind: 'scalar', type: 'string', value, at });
export const integer = (value: number, at: Place): ScalarNode => ({ kind: 'scalar', type: 'int', value, at });
export const flag = (value: boolean, at: Place): ScalarNode => ({ kind: 'scalar', type: 'bool', value, at });
export const nothing = (at: Place): ScalarNode => ({ kind: 'scalar', type: 'null', value: null, at });
export const map = (entries: Iterable<readonly [string, Node]>, at: Place): MapNode => ({
  kind: 'map',
  entries: new Map(entries),
  at,
});
export const list = (items: Node[], at: Place): ListNode => ({ kind: 'list', items, at });

export const isNull = (node: Node | undefined): boolean => node?.kind === 'scalar' && node.type === 'null';
/** The text of a string scalar, undefined of anything else. */
export const stringOf = (node: Node | undefined): string | undefined =>
  node?.kind === 'scalar' && node.type === 'string' ? String(node.value) : undefined;
export const child = (node: Node | undefined, key: string): Node | undefined =>
  node?.kind === 'map' ? node.entries.get(key) : undefined;
export const entriesOf = (node: Node | undefined): [string, Node][] => (node?.kind === 'map' ? [...node.entries] : []);
export const itemsOf = (node: Node | undefined): Node[] => (node?.kind === 'list' ? node.items : []);

/** Lines and columns count from 1. */
export function position({ source, offset }: Place): { file: string; line: number; column: number } {
  let low = 0;
  let high = source.lines.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((source.lines[middle] ?? 0) <= offset) low = middle;
    else high = middle - 1;
  }
  return { file: source.file, line: low + 1, column: offset - (source.lines[low] ?? 0) + 1 };
}

export function lineStarts(content: string): number[] {
  const starts = [0];
  for (let at = content.indexOf('\n'); at !== -1; at = content.indexOf('\n', at + 1)) starts.push(at + 1);
  return starts;
}

/** One issue about a value. */
export const issue = (at: Place, key: string, message: string, severity: Issue['severity'] = 'error'): Issue => ({
  ...position(at),
  key,
  message,
  severity,
});

/** A scalar as Go's `%v` prints it: what Compose puts where a string is wanted. */
export function goText({ type, value }: ScalarNode): string {
  return type === 'float' ? goFloat(Number(value)) : String(value);
}

/** Go's shortest form of a float64: an exponent below 1e-4 and from 1e21 on. */
function goFloat(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf';
  const [, exponent = '0'] = value.toExponential().split('e');
  if (Number(exponent) >= -4 && Number(exponent) < 21) return String(value);
  const [mantissa = '', power = ''] = value.toExponential().split('e');
  return `${mantissa}e${power[0]}${power.slice(1).padStart(2, '0')}`;
}

/** A copy of its mappings and lists; scalars are never changed, so they are shared. */
export function clone(node: Node): Node {
  if (node.kind === 'scalar') return node;
  if (node.kind === 'list') return { ...node, items: node.items.map(clone) };
  return { ...node, entries: new Map([...node.entries].map(([key, value]) => [key, clone(value)])) };
}

/** Plain data; `__proto__` stays an ordinary key. */
export function toPlain(node: Node): unknown {
  if (node.kind === 'list') return node.items.map(toPlain);
  if (node.kind === 'map') return Object.fromEntries([...node.entries].map(([key, value]) => [key, toPlain(value)]));
  return typeof node.value === 'bigint' ? Number(node.value) : node.value;
}

/** A text that is the same for trees of the same content, whatever the order of their keys. */
export function canonical(node: Node): string {
  if (node.kind === 'scalar') return `${node.type} ${JSON.stringify(String(node.value))}`;
  if (node.kind === 'list') return `[${node.items.map(canonical).join()}]`;
  const entries = [...node.entries].map(([key, value]) => `${JSON.stringify(key)}:${canonical(value)}`);
  return `{${entries.sort().join()}}`;
}

/** Alike in content, wherever they were written. */
export function same(a: Node, b: Node): boolean {
  if (a.kind === 'scalar') return b.kind === 'scalar' && a.type === b.type && a.value === b.value;
  if (a.kind === 'list')
    return (
      b.kind === 'list' &&
      a.items.length === b.items.length &&
      a.items.every((item, i) => same(item, b.items[i] as Node))
    );
  return (
    b.kind === 'map' &&
    a.entries.size === b.entries.size &&
    [...a.entries].every(([key, value]) => {
      const other = b.entries.get(key);
      return other !== undefined && same(value, other);
    })
  );
}
