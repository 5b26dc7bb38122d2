/** What every stage of loading one project shares. */
import type { Issue } from '../core/types.ts';
import { lineStarts, type MapNode, type Source } from './node.ts';
import type { Reach } from './resolve.ts';

export interface Loading extends Reach {
  /** A file of the repository as text, undefined where there is none. */
  read(path: string): string | undefined;
  /** Where a directory of the repository lies on the host. */
  hostPath(repo: string): string;
  /** Values of secrets and configs that come from variables; kept out of the model. */
  values: Map<string, string>;
}

/** The variables of one project: an included one has more than the one that includes it. */
export interface Scope {
  variables: ReadonlyMap<string, string>;
  /** Files being included, outermost first. */
  including: readonly string[];
  /** Files that `extends` has read already. */
  extended: Map<string, ExtendedFile>;
}

export interface ExtendedFile {
  model: MapNode;
  resets: (readonly string[])[];
}

export interface FileToLoad {
  /** In the repository. */
  path: string;
  text: string;
  layer: string;
  /** Directory in the repository that relative paths start from. */
  dir: string;
  /** The same on the host. */
  hostDir: string;
}

export const sourceOf = ({ path, text, layer, dir, hostDir }: FileToLoad): Source => ({
  file: path,
  ...{ layer, dir, hostDir },
  lines: lineStarts(text),
});

/** Each complaint once, in the order of files, lines and columns. */
export function tidy(issues: readonly Issue[]): Issue[] {
  const unique = new Map(issues.map((i) => [`${i.file}:${i.line}:${i.column}:${i.message}`, i]));
  return [...unique.values()].sort(
    (a, b) => (a.file < b.file ? -1 : a.file > b.file ? 1 : 0) || a.line - b.line || a.column - b.column,
  );
}
