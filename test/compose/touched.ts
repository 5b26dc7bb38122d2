/** Which paths of the Specification a case uses, in any form. */

import type { Shape } from '../../agent/compose/spec/shape.ts';
import { project } from '../../agent/compose/spec/spec.ts';
import { lineStarts, type Node, type Source } from '../../agent/compose/yaml/node.ts';
import { readYaml } from '../../agent/compose/yaml/yaml.ts';
import type { Case } from './cases.ts';

export function pathsIn({ files }: Pick<Case, 'files'>): Set<string> {
  const found = new Set<string>();
  for (const [file, text] of Object.entries(files)) {
    if (!/\.ya?ml$/.test(file)) continue;
    const source: Source = { file, layer: '', dir: '', hostDir: '', lines: lineStarts(text) };
    for (const { root } of readYaml(source, text).documents) if (root) walk(root, project, '', found);
  }
  return found;
}

function walk(node: Node, shape: Shape, path: string, found: Set<string>): void {
  if (path !== '') found.add(path);
  const at = path === '' ? '' : `${path}.`;
  if (node.kind === 'list') for (const item of node.items) shape.items && walk(item, shape.items, `${path}[]`, found);
  if (node.kind !== 'map') return;
  for (const [key, value] of node.entries) {
    const known = shape.props && Object.hasOwn(shape.props, key) ? shape.props[key] : undefined;
    if (known) walk(value, known, `${at}${key}`, found);
    else if (shape.keys) walk(value, shape.keys.value, `${at}*`, found);
  }
}
