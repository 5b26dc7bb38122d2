/**
 * If two list items mean the same thing (a target, a port, a variable), the later one replaces the earlier one in its
 * position. Pure.
 */

import { parseMount } from '../spec/mounts.ts';
import type { Identity, Shape } from '../spec/shape.ts';
import { child, goText, type Node, stringOf } from '../yaml/node.ts';
import { shapeAt } from './merge.ts';

export function enforceUnicity(node: Node, shape: Shape | undefined): Node {
  if (node.kind === 'map') {
    for (const [key, value] of node.entries) {
      if (value.kind === 'scalar') continue;
      const kept = enforceUnicity(value, shapeAt(shape, key));
      if (kept !== value) node.entries.set(key, kept);
    }
    return node;
  }
  if (node.kind !== 'list' || !shape?.identity) return node;
  const places = new Map<string, number>();
  const items: Node[] = [];
  for (const item of node.items) {
    const id = identityOf(item, shape.identity);
    const at = id === undefined ? undefined : places.get(id);
    if (at !== undefined) items[at] = item;
    else {
      if (id !== undefined) places.set(id, items.length);
      items.push(item);
    }
  }
  return items.length === node.items.length ? node : { ...node, items };
}

/** undefined where an item is not what it should be: the schema says so later. */
function identityOf(item: Node, identity: Identity): string | undefined {
  const written = item.kind === 'scalar' ? goText(item) : undefined;
  switch (identity) {
    case 'key':
      return written?.split('=', 1)[0];
    case 'expose':
    case 'path':
      return written ?? stringOf(child(item, 'path'));
    case 'target':
      return written === undefined ? stringOf(child(item, 'target')) : targetOf(written);
    case 'device':
      return written === undefined ? stringOf(child(item, 'target')) : (written.split(':')[1] ?? written);
    case 'config':
    case 'secret': {
      const root = identity === 'secret' ? '/run/secrets' : '';
      return written === undefined
        ? (stringOf(child(item, 'target')) ?? `${root}/${stringOf(child(item, 'source'))}`)
        : `${root}/${written}`;
    }
    case 'port':
      return written ?? portId(item);
  }
}

function targetOf(written: string): string | undefined {
  try {
    return parseMount(written).target;
  } catch {
    return undefined;
  }
}

function portId(item: Node): string {
  const of = (key: string, fallback: string) => {
    const value = child(item, key);
    return value?.kind === 'scalar' ? goText(value) : fallback;
  };
  return `${of('host_ip', '0.0.0.0')}:${of('published', '')}:${of('target', '')}/${of('protocol', 'tcp')}`;
}
