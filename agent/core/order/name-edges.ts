/**
 * Edges by name: a resource that names something which another resource provides is applied after it, across stacks and kinds.
 * Pure.
 */
import { type Drafts, definitionOf, type KindTable, type Named } from '../kind.ts';
import { isWithin } from '../names/reserved-paths.ts';
import type { Desired, ResourceId } from '../types.ts';

const PATH = 'path:';
const TREE = 'tree:';

interface NameEdgesOptions {
  kinds: KindTable;
  drafts: Map<ResourceId, Desired>;
  all: Drafts;
}

/** Adds the edges to the drafts. A name that no declaration of this host provides makes no edge. */
export function nameEdges({ kinds, drafts, all }: NameEdgesOptions): void {
  const resources = [...drafts.values()];
  const naming = resources.flatMap(({ id, spec }) => {
    const names = definitionOf(kinds, id).names?.(spec) ?? [];
    return names.length > 0 ? [{ id, names }] : [];
  });
  if (naming.length === 0) return;
  const providers = new Map<string, ResourceId[]>();
  const trees: { path: string; id: ResourceId }[] = [];
  for (const { id, spec } of resources)
    for (const name of definitionOf(kinds, id).provides?.(spec) ?? []) {
      if (name.startsWith(TREE)) trees.push({ path: name.slice(TREE.length), id });
      else providers.set(name, [...(providers.get(name) ?? []), id]);
    }
  const paths = pathIndex(all);
  const providing = ({ name }: Named): readonly ResourceId[] => {
    if (!name.startsWith(PATH)) return providers.get(name) ?? [];
    const path = name.slice(PATH.length);
    return [...paths(path), ...trees.filter((tree) => isWithin(path, tree.path)).map(({ id }) => id)];
  };
  for (const { id, names } of naming)
    for (const named of names)
      for (const other of providing(named)) {
        all.add(id, 'after', other);
        if (named.attached) all.add(other, 'reload', id);
        const draft = drafts.get(id);
        if (named.optional && draft?.after.includes(other) && !isNeeded(id, other))
          drafts.set(id, { ...draft, optional: [...new Set([...(draft.optional ?? []), other])] });
      }

  /** Whether `other` also provides something that `id` cannot work without, or a written edge names it. */
  function isNeeded(id: ResourceId, other: ResourceId): boolean {
    const written = resources.find((resource) => resource.id === id);
    const names = naming.find((one) => one.id === id)?.names ?? [];
    const isWritten = written?.after.includes(other) === true && written.optional?.includes(other) !== true;
    return isWritten || names.some((named) => !named.optional && providing(named).includes(other));
  }
}

/** Finds the resources at or below a path, and the nearest declared parent of the path. */
function pathIndex(all: Drafts): (path: string) => ResourceId[] {
  let index: { byPath: ReadonlyMap<string, ResourceId>; sorted: readonly string[] } | null = null;
  const read = () => {
    const byPath = new Map(all.placed().map(({ path, id }) => [path, id]));
    return { byPath, sorted: [...byPath.keys()].sort() };
  };
  return (path) => {
    index ??= read();
    const { byPath, sorted } = index;
    const found: ResourceId[] = [];
    const note = (at: string) => {
      const id = byPath.get(at);
      if (id !== undefined) found.push(id);
    };
    note(path);
    const prefix = `${path}/`;
    for (let at = firstFrom(sorted, prefix); sorted[at]?.startsWith(prefix); at++) note(sorted[at] ?? '');
    for (let end = path.lastIndexOf('/'); end > 0; end = path.lastIndexOf('/', end - 1)) {
      const holder = path.slice(0, end);
      if (!byPath.has(holder)) continue;
      note(holder);
      break;
    }
    return found;
  };
}

/** Index of the first string that is not less than `wanted`. */
function firstFrom(sorted: readonly string[], wanted: string): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] ?? '') < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}
