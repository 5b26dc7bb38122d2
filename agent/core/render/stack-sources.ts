/** The stacks of all layers, joined by project name: the input of compose/. Pure. */

import type { Issue } from '../types.ts';
import type { LayerContent } from './layer-content.ts';
import type { StackDir } from './layer-stacks.ts';
import type { Layer, Var } from './layers.ts';

/** The input of compose/ for one stack. */
export interface StackSource {
  /** Directory in the repository, from the last layer that has the stack. */
  dir: string;
  layer: string;
  /** In the order in which they are merged: lower layers first. A relative path in a file is relative to that file. */
  files: { path: string; text: string; layer: string }[];
  /** `.env` files of all layers: the line of a later file wins. The text of an encrypted one is null. */
  envs: readonly { path: string; text: string | null }[];
}

export function joinStacks(
  contents: readonly LayerContent[],
  vars: ReadonlyMap<string, Var>,
): { sources: StackSource[]; issues: Issue[] } {
  const projects = new Map<string, { stack: StackDir; layer: Layer }[]>();
  const issues: Issue[] = [];
  for (const { layer, stacks } of contents) {
    for (const stack of stacks) {
      const name = projectName(stack, vars);
      const found = projects.get(name) ?? [];
      const twin = found.find((f) => f.layer === layer);
      if (twin) {
        const message = `${stack.dir} and ${twin.stack.dir} are both the project \`${name}\`; give one of them another \`name:\``;
        issues.push({
          file: stack.files[0]?.path ?? stack.dir,
          line: 1,
          column: 1,
          key: 'name',
          severity: 'error',
          message,
        });
      }
      projects.set(name, [...found, { stack, layer }]);
    }
  }
  const sources = [...projects.values()].map((parts): StackSource => {
    const last = parts.at(-1);
    return {
      dir: last?.stack.dir ?? '',
      layer: last?.layer.dir ?? '',
      files: parts.flatMap(({ stack, layer }) => stack.files.map((file) => ({ ...file, layer: layer.dir }))),
      envs: parts.flatMap(({ stack }) => (stack.env ? [stack.env] : [])),
    };
  });
  return { sources: sources.sort((a, b) => (a.dir < b.dir ? -1 : 1)), issues };
}

/**
 * `name:` of the last file that has one, or else the directory's name, normalised like Compose does (Compose Specification,
 * "Name").
 */
function projectName(stack: StackDir, vars: ReadonlyMap<string, Var>): string {
  const expanded = (stack.name ?? stack.dir.slice(stack.dir.lastIndexOf('/') + 1)).replaceAll(
    /\$\{?([A-Za-z_]\w*)\}?/g,
    (whole, key: string) => String(vars.get(key)?.value ?? whole),
  );
  return expanded
    .toLowerCase()
    .replace(/[^a-z0-9_-]/g, '')
    .replace(/^[_-]+/, '');
}
