/** State that every stage of loading one project shares. */
import type { Issue } from '../../core/types.ts';
import type { Suspect } from '../merge/fill.ts';
import { issue, lineStarts, type MapNode, type Node, type Source } from '../yaml/node.ts';
import { joinPath } from '../yaml/paths.ts';
import type { Reach } from './resolve.ts';

export interface Loading extends Reach {
  /** A file of the repository as text, undefined if there is none. */
  read(path: string): string | undefined;
  /** The same of a compose file, which must not be encrypted. */
  readModel(path: string): string | undefined;
  /** See `Filling.suspects`. */
  suspects: Suspect[];
  /** Values of secrets and configs that come from variables; kept out of the model. */
  values: Map<string, string>;
  /** Files that `include` brought in. */
  included: Set<string>;
  /** Number of values that `extends` and port ranges may still add to the values in the files. */
  budget: { left: number };
}

/** Far more than an honest project has. */
export const BUDGET = 400_000;

/** @returns false, with an issue, once the budget is spent */
export function spend(loading: Pick<Loading, 'budget' | 'issues'>, on: Node | number, at: Node, path: string): boolean {
  const before = loading.budget.left;
  loading.budget.left -= typeof on === 'number' ? on : sizeOf(on);
  if (loading.budget.left >= 0) return true;
  if (before >= 0)
    loading.issues.push(issue(at.at, path, `this stack comes to more than ${BUDGET} values; make it smaller`));
  return false;
}

function sizeOf(node: Node): number {
  if (node.kind === 'scalar') return 1;
  let size = 1;
  for (const child of node.kind === 'list' ? node.items : node.entries.values()) size += sizeOf(child);
  return size;
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
  layer,
  dir,
  hostDir,
  lines: lineStarts(text),
});

/** Path on the host of another directory of the repository, relative to a file's own directory. */
export function hostDirOf({ dir, hostDir }: Source, other: string): string {
  const partsOf = (path: string) => path.split('/').filter(Boolean);
  const from = partsOf(dir);
  const to = partsOf(other);
  let common = 0;
  while (common < from.length && from[common] === to[common]) common++;
  return joinPath(hostDir, [...from.slice(common).map(() => '..'), ...to.slice(common)].join('/') || '.');
}

/** More than these nobody reads. */
const MOST = 500;

/** Each complaint once, in the order of files, lines and columns. */
export function tidy(issues: readonly Issue[]): Issue[] {
  const unique = new Map(issues.map((i) => [`${i.file}:${i.line}:${i.column}:${i.message}`, i]));
  const sorted = [...unique.values()].sort(
    (a, b) => (a.file < b.file ? -1 : a.file > b.file ? 1 : 0) || a.line - b.line || a.column - b.column,
  );
  const [last] = sorted.slice(MOST);
  if (last === undefined) return sorted;
  const more = { ...last, key: '', message: `and ${sorted.length - MOST} more` };
  return [...sorted.slice(0, MOST), more];
}
