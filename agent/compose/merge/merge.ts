/** Two readings of one stack into one, by Compose's rules ("Merge and override"). Pure. */
import type { Issue } from '../../core/types.ts';
import type { Shape } from '../spec/shape.ts';
import { describe } from '../spec/validate.ts';
import {
  canonical,
  flag,
  goText,
  isNull,
  issue,
  type ListNode,
  list,
  type MapNode,
  map,
  type Node,
  nothing,
  same,
  stringOf,
  text,
} from '../yaml/node.ts';

/** `over` on top of `base`; both are left as they are. */
export function merge(base: Node, over: Node, shape: Shape | undefined, issues: Issue[], path = ''): Node {
  switch (shape?.merge) {
    case 'replace':
      return over;
    case 'sequence':
      return list([...sequence(base), ...sequence(over)], over.at);
    case 'extra_hosts': {
      const before = sequence(base);
      const known = new Set(before.map(canonical));
      return list([...before, ...sequence(over).filter((item) => !known.has(canonical(item)))], over.at);
    }
    case 'depends_on':
    case 'networks': {
      const empty = (node: Node) => (shape.merge === 'networks' ? nothing(node.at) : started(node));
      return mergeMaps(toMap(base, empty), toMap(over, empty), shape, issues, path);
    }
    case 'logging':
      if (base.kind === 'map' && over.kind === 'map' && otherDriver(base, over)) return over;
      break;
    case 'ipam':
      if (base.kind === 'list' && over.kind === 'list') return mergePools(base, over, shape, issues, path);
      break;
    case 'build':
      return mergeMaps(toContext(base), toContext(over), shape, issues, path);
    case 'ulimit':
      return over;
  }
  if (isNull(over)) return base;
  if (base.kind === 'map') {
    if (over.kind === 'map') return mergeMaps(base, over, shape, issues, path);
  } else if (base.kind === 'list') {
    if (over.kind === 'list') return list([...base.items, ...over.items], over.at);
  } else return over;
  issues.push(
    issue(
      over.at,
      path,
      `\`${path}\` is ${describe(base)} in an earlier file, and ${describe(over)} here; write it alike`,
    ),
  );
  return base;
}

export function mergeMaps(
  base: MapNode,
  over: MapNode,
  shape: Shape | undefined,
  issues: Issue[],
  path: string,
): MapNode {
  const merged = new Map(base.entries);
  for (const [key, value] of over.entries) {
    const before = merged.get(key);
    if (before === undefined || key.startsWith('x-')) merged.set(key, value);
    else merged.set(key, merge(before, value, shapeAt(shape, key), issues, path === '' ? key : `${path}.${key}`));
  }
  return { ...over, entries: merged };
}

/** The shape of a key of a mapping. */
export const shapeAt = (shape: Shape | undefined, key: string): Shape | undefined =>
  shape?.props && Object.hasOwn(shape.props, key) ? shape.props[key] : shape?.keys?.value;

/** `{A: 1, B: null}` → `[A=1, B]`, sorted. */
function sequence(node: Node): Node[] {
  if (node.kind === 'list') return node.items;
  if (node.kind === 'scalar') return node.type === 'string' ? [node] : [];
  const pairs = [...node.entries].flatMap(([key, value]): Node[] => {
    if (value.kind === 'list') return value.items.map((item) => text(`${key}=${printed(item)}`, item.at));
    return [isNull(value) ? text(key, value.at) : text(`${key}=${printed(value)}`, value.at)];
  });
  return pairs.sort((a, b) => (String(stringOf(a)) < String(stringOf(b)) ? -1 : 1));
}

const printed = (node: Node): string => (node.kind === 'scalar' ? goText(node) : describe(node));

const started = ({ at }: Node): Node =>
  map(
    [
      ['condition', text('service_started', at)],
      ['required', flag(true, at)],
    ],
    at,
  );

/** `[a, b]` → `{a: …, b: …}` */
export function toMap(node: Node, value: (item: Node) => Node): MapNode {
  if (node.kind === 'map') return node;
  if (node.kind === 'scalar') return map([], node.at);
  return map(
    node.items.flatMap((item) =>
      stringOf(item) === undefined ? [] : [[String(stringOf(item)), value(item)] as const],
    ),
    node.at,
  );
}

const toContext = (node: Node): MapNode =>
  node.kind === 'map' ? node : map(node.kind === 'scalar' ? [['context', node]] : [], node.at);

function otherDriver(base: MapNode, over: MapNode): boolean {
  const before = base.entries.get('driver');
  const after = over.entries.get('driver');
  return before !== undefined && after !== undefined && !same(before, after);
}

const MOST_POOLS = 10_000;

/** Address pools are told apart by their subnet. Compose changes the earlier pool as it goes, and so do we. */
function mergePools(base: ListNode, over: ListNode, shape: Shape, issues: Issue[], path: string): Node {
  const pools: MapNode[] = [];
  if (base.items.length * over.items.length > MOST_POOLS) {
    issues.push(issue(over.at, path, `\`${path}\` has too many address pools in both files; write them in one`));
    return base;
  }
  const subnet = (node: MapNode) => stringOf(node.entries.get('subnet'));
  for (const original of base.items) {
    if (original.kind !== 'map') continue;
    const before: MapNode = { ...original };
    for (const after of over.items) {
      if (after.kind !== 'map') continue;
      if (subnet(before) !== subnet(after) && !pools.some((p) => subnet(p) === subnet(after))) {
        pools.push(after);
        continue;
      }
      before.entries = mergeMaps(before, after, shape.items, issues, path).entries;
      const at = pools.findIndex((p) => subnet(p) === subnet(before));
      if (at >= 0) pools[at] = before;
      else pools.push(before);
    }
  }
  return list(pools, over.at);
}
