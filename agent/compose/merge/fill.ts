/** Variables filled in, all through one document, and strings turned into the type that their place wants. Pure. */
import type { Issue } from '../../core/types.ts';
import type { Shape } from '../spec/shape.ts';
import { flag, issue, type Node, type Place, type ScalarNode, text } from '../yaml/node.ts';
import { InterpolationError, interpolate, type Variables } from './interpolate.ts';
import { shapeAt } from './merge.ts';
import { harmOfUnset, isReadAtOnce, UNSET } from './unset.ts';

export interface Filling {
  get(name: string): string | undefined;
  issues: Issue[];
  /** Warnings about unset variables that are errors if the value is not replaced by a later file: each with its place. */
  suspects: Suspect[];
}

export interface Suspect {
  issue: Issue;
  at: Place;
}

/** A copy of the document: what anchors share is shared no more. */
export function fill(node: Node, shape: Shape | undefined, filling: Filling, path = ''): Node {
  if (node.kind === 'list')
    return { ...node, items: node.items.map((item, i) => fill(item, shape?.items, filling, `${path}.${i}`)) };
  if (node.kind === 'map') {
    const entries = new Map<string, Node>();
    for (const [key, value] of node.entries)
      entries.set(key, fill(value, shapeAt(shape, key), filling, path === '' ? key : `${path}.${key}`));
    return { ...node, entries };
  }
  if (node.type !== 'string') return node;
  const filled = String(node.value).includes('$') ? substitute(node, filling, path) : node;
  return shape?.cast === undefined ? filled : cast(filled, shape.cast, filling, path);
}

function substitute(node: ScalarNode, { get, issues, suspects }: Filling, path: string): ScalarNode {
  const unset = new Set<string>();
  const variables: Variables = {
    get,
    unset(name) {
      unset.add(name);
      return UNSET;
    },
  };
  try {
    const marked = interpolate(String(node.value), variables);
    const harm = harmOfUnset(marked, path);
    const severity = harm !== null && isReadAtOnce(path) ? 'error' : 'warning';
    for (const name of unset) {
      const what =
        harm === null
          ? '; an empty text takes its place'
          : `, ${harm}; set it in \`vars\` or .env, or write \${${name}:-default}`;
      const told = issue(node.at, path, `variable \`${name}\` is not set${what}`, severity);
      issues.push(told);
      if (harm !== null) suspects.push({ issue: told, at: node.at });
    }
    return text(unset.size === 0 ? marked : marked.replaceAll(UNSET, ''), node.at);
  } catch (thrown) {
    if (!(thrown instanceof InterpolationError)) throw thrown;
    issues.push(issue(node.at, path, `\`${path}\`: ${thrown.message}`));
    return node;
  }
}

function cast(node: ScalarNode, to: NonNullable<Shape['cast']>, { issues }: Filling, path: string): ScalarNode {
  const read = readAs(String(node.value), to);
  if (read === null) {
    const what = { int: 'a whole number', float: 'a number', bool: 'true or false' }[to];
    issues.push(
      issue(node.at, path, `\`${path}\` must be ${what}, got ${JSON.stringify(String(node.value).slice(0, 60))}`),
    );
    // Something of the right type, so that the same mistake is not reported twice.
    return to === 'bool' ? flag(false, node.at) : { kind: 'scalar', type: to, value: 0, at: node.at };
  }
  if (typeof read === 'boolean') return flag(read, node.at);
  return { kind: 'scalar', type: to === 'int' ? 'int' : 'float', value: read, at: node.at };
}

/** A text as whole number, number or truth value; null if it is none. */
export function readAs(written: string, to: 'int' | 'float' | 'bool'): number | boolean | null {
  if (to === 'int') return /^[-+]?\d{1,18}$/.test(written) ? Number(written) : null;
  if (to === 'float') return /^[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?$/.test(written) ? Number(written) : null;
  if (/^(true|y|yes|on)$/i.test(written)) return true;
  return /^(false|n|no|off)$/i.test(written) ? false : null;
}
