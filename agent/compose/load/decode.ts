/** A tree in its long form → the values of Compose's normalised model, typed as Compose types them. Pure. */
import type { Issue } from '../../core/types.ts';
import { readAs } from '../merge/fill.ts';
import type { Output, Shape } from '../spec/shape.ts';
import { byteSize, durationText, float32, nanoseconds } from '../spec/units.ts';
import { describe } from '../spec/validate.ts';
import {
  goText,
  isNull,
  issue,
  type ListNode,
  type MapNode,
  type Node,
  type ScalarNode,
  stringOf,
  toPlain,
} from '../yaml/node.ts';
import { splitWords } from '../yaml/words.ts';

export interface Decoding {
  issues: Issue[];
}

/** undefined: the model does not show it. */
export function decode(node: Node, shape: Shape, decoding: Decoding, path: string): unknown {
  if (node.kind === 'scalar') return decodeScalar(node, shape, decoding, path);
  const special = shape.out ? COLLECTIONS[shape.out] : undefined;
  if (special) return notEmpty(special(node, shape, decoding, path), shape);
  if (shape.out === 'drop') return undefined;
  if (node.kind === 'list') {
    const items = node.items.map((item, i) =>
      shape.items ? decode(item, shape.items, decoding, `${path}.${i}`) : toPlain(item),
    );
    return notEmpty(items, shape);
  }
  if (shape.props) return decodeObject(node, shape, decoding, path);
  const value = shape.keys?.value;
  if (!value) return toPlain(node);
  const decoded = [...node.entries].map(
    ([key, entry]) => [key, decode(entry, value, decoding, `${path}.${key}`) ?? null] as const,
  );
  return notEmpty(Object.fromEntries(decoded), shape);
}

function notEmpty(value: unknown, shape: Shape): unknown {
  const empty = Array.isArray(value)
    ? value.length === 0
    : typeof value === 'object' && value !== null && Object.keys(value).length === 0;
  return empty && !shape.keep ? undefined : value;
}

function decodeObject(node: MapNode, shape: Shape, decoding: Decoding, path: string): Record<string, unknown> {
  const props = shape.props ?? {};
  const found: [string, unknown][] = [];
  for (const [key, entry] of node.entries) {
    const inner = Object.hasOwn(props, key) ? props[key] : undefined;
    const value = inner && decode(entry, inner, decoding, `${path}.${key}`);
    if (value !== undefined) found.push([inner?.outName ?? key, value]);
  }
  for (const key in props) {
    const inner = props[key] as Shape;
    if (!inner.keep || node.entries.has(key)) continue;
    const value = absent(inner);
    if (value !== undefined) found.push([inner.outName ?? key, value]);
  }
  return Object.fromEntries(found);
}

/** Compose shows a command that is not set as null, and some parts as empty if they are not there. */
function absent(shape: Shape): unknown {
  if (shape.out === 'command') return null;
  return shape.keep && shape.props
    ? decodeObject({ kind: 'map', entries: new Map() } as MapNode, shape, { issues: [] }, '')
    : undefined;
}

function decodeScalar(node: ScalarNode, shape: Shape, decoding: Decoding, path: string): unknown {
  if (node.type === 'null')
    return shape.out === 'command' ? null : shape.props && shape.keep ? absent(shape) : undefined;
  const fail = (message: string) =>
    void decoding.issues.push(issue(node.at, path, `\`${path}\` ${message}, got ${describe(node)}`));
  const value = SCALARS[shape.out ?? 'plain']?.(node, fail, decoding, path);
  const zero =
    value === '' ||
    value === 0 ||
    value === false ||
    (shape.out === 'bytes' && value === '0') ||
    (shape.out === 'duration' && value === '0s');
  return zero && !shape.keep ? undefined : value;
}

type Fail = (message: string) => undefined;
type ReadScalar = (node: ScalarNode, fail: Fail, decoding: Decoding, path: string) => unknown;

const readNumber = (to: 'int' | 'float') => (node: ScalarNode, fail: Fail) => {
  if (node.type === 'int' || node.type === 'float')
    return to === 'int' ? Math.trunc(Number(node.value)) : float32(Number(node.value));
  const read = node.type === 'string' ? readAs(String(node.value), to) : null;
  if (read === null) return fail(`must be a ${to === 'int' ? 'whole ' : ''}number`);
  return to === 'int' ? read : float32(Number(read));
};

const SCALARS: Partial<Record<Output, ReadScalar>> = {
  string: (node, fail) => {
    if (node.type === 'string' || node.type === 'int') return String(node.value);
    return fail('must be a string; put it in quotes');
  },
  bool: (node, fail) => {
    if (node.type === 'bool') return node.value;
    return readAs(String(node.value), 'bool') ?? fail('must be true or false');
  },
  int: readNumber('int'),
  uint: (node, fail) => {
    const whole = node.type === 'int' || node.type === 'float' ? Math.trunc(Number(node.value)) : -1;
    return whole < 0 ? fail('must be a whole number of 0 or more, without quotes') : whole;
  },
  fileMode: (node, fail) => {
    const text = String(node.value);
    const bits =
      node.type === 'int'
        ? Number(text)
        : node.type === 'string' && /^[0-7]+$/.test(text)
          ? Number.parseInt(text, 8)
          : -1;
    return bits < 0 ? fail('must be a mode such as 0440') : `0${bits.toString(8)}`;
  },
  float32: readNumber('float'),
  cpus: readNumber('float'),
  bytes: (node, fail) => {
    if (node.type === 'int') return String(node.value);
    const size = node.type === 'string' ? byteSize(String(node.value)) : null;
    return size === null ? fail('must be a size such as 512m, 1g or a whole number of bytes') : String(size);
  },
  duration: (node, fail) => {
    const value = nanoseconds(goText(node));
    return value === null ? fail('must be a duration such as 90s, 1m30s or 500ms') : durationText(value);
  },
  count: (node, fail) => {
    if (node.type === 'int') return node.value;
    if (String(node.value).toLowerCase() === 'all') return -1;
    return readAs(String(node.value), 'int') ?? fail('must be `all` or a whole number');
  },
  command: (node, fail, decoding, path) => {
    const split = splitWords(String(node.value));
    if (split === null) return fail('has a quote or bracket that is not closed; write it as a list');
    if (split.cutAt !== null)
      decoding.issues.push(
        issue(
          node.at,
          path,
          `\`${path}\` ends at \`${String(node.value).slice(split.cutAt, split.cutAt + 2)}\`, as no shell runs it; write ["sh", "-c", "…"]`,
          'warning',
        ),
      );
    return split.words;
  },
  test: (node) => ['CMD-SHELL', String(node.value)],
  strings: (node) => [goText(node)],
  ulimit: (node, fail) => {
    const value = readNumber('int')(node, fail);
    return value === 0 ? {} : value;
  },
  plain: (node) => (node.type === 'time' ? goText(node) : toPlain(node)),
  options: (_node, fail) => fail('must be a mapping'),
};

type ReadCollection = (node: ListNode | MapNode, shape: Shape, decoding: Decoding, path: string) => unknown;

/** `[A=1, B]` or `{A: 1, B: null}` → pairs; undefined for what has no value. */
function pairs(node: ListNode | MapNode): [string, string | undefined][] {
  const text = (value: Node) => (value.kind === 'scalar' ? goText(value) : describe(value));
  if (node.kind === 'map')
    return [...node.entries].map(([key, value]) => [key, isNull(value) ? undefined : text(value)]);
  return node.items.map((item) => {
    const written = text(item);
    const at = written.indexOf('=');
    return at < 0 ? [written, undefined] : [written.slice(0, at), written.slice(at + 1)];
  });
}

const texts: ReadCollection = (node) => Object.fromEntries(pairs(node).map(([key, value]) => [key, value ?? '']));
const stringItems: ReadCollection = (node, shape, { issues }, path) =>
  (node.kind === 'list' ? node.items : []).map((item, i) => {
    if (item.kind === 'scalar' && (item.type === 'string' || shape.items?.out === 'plain')) return goText(item);
    issues.push(issue(item.at, `${path}.${i}`, `\`${path}\` is a list of strings; put this in quotes`));
    return '';
  });

const COLLECTIONS: Partial<Record<Output, ReadCollection>> = {
  labels: texts,
  mapping: texts,
  options: (node, _shape, { issues }, path) => {
    for (const value of node.kind === 'map' ? node.entries.values() : [])
      if (value.kind !== 'scalar')
        issues.push(issue(value.at, path, `\`${path}\` takes texts and numbers, got ${describe(value)}`));
    return texts(node, _shape, { issues }, path);
  },
  environment: (node) => Object.fromEntries(pairs(node).map(([key, value]) => [key, value ?? null])),
  command: stringItems,
  test: stringItems,
  strings: stringItems,
  hosts: (node, _shape, decoding, path) => hostList(node, decoding, path),
  ulimit: (node, _shape, { issues }, path) => {
    const limits = node.kind === 'map' ? ['soft', 'hard'].map((key) => [key, node.entries.get(key)] as const) : [];
    const shown = limits.flatMap(([key, value]) => {
      const limit = value?.kind === 'scalar' && typeof value.value === 'number' ? value.value : 0;
      if (value && value.kind !== 'scalar')
        issues.push(issue(value.at, `${path}.${key}`, `\`${key}\` must be a whole number`));
      return limit === 0 ? [] : [[key, limit] as const];
    });
    return Object.fromEntries(shown);
  },
};

/** `host=address`, sorted; a host may have several. */
function hostList(node: ListNode | MapNode, { issues }: Decoding, path: string): string[] {
  const found: string[] = [];
  const add = (host: string, addresses: readonly string[], item: Node) => {
    if (host === '' || /[:=]/.test(host)) issues.push(issue(item.at, path, `\`${host}\` is not a host name`));
    for (const address of addresses) found.push(`${host}=${unbracket(address)}`);
  };
  if (node.kind === 'map') {
    for (const [host, value] of node.entries)
      add(host, value.kind === 'list' ? value.items.map((i) => String(stringOf(i))) : [stringOf(value) ?? ''], value);
    return found.sort();
  }
  for (const item of node.items) {
    const written = stringOf(item) ?? '';
    const at = written.includes('=') ? written.indexOf('=') : written.indexOf(':');
    if (at < 0) issues.push(issue(item.at, path, `\`${written}\` names a host without an address; write host=address`));
    else add(written.slice(0, at), written.slice(at + 1).split(','), item);
  }
  return found.sort();
}

const unbracket = (address: string): string =>
  address.length > 2 && address.startsWith('[') && address.endsWith(']') ? address.slice(1, -1) : address;
