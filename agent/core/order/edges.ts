/** Infers edges from the specs of resources, without a written `after` or `notify`. Pure. */

import { type Drafts, definitionOf, type KindTable, type Place } from '../kind.ts';
import { isWithin } from '../names/reserved-paths.ts';
import { canonicalHash, type Sha256 } from '../payload/hash.ts';
import type { Desired, ResourceId } from '../types.ts';
import { breakCycles, type InferredEdge } from './broken-cycles.ts';
import { nameEdges } from './name-edges.ts';

export interface EdgeOptions {
  kinds: KindTable;
  sha256: Sha256;
}

type Placed = Place & { id: ResourceId };

export interface WithEdges {
  resources: Desired[];
  /** Inferred edges that would have closed a cycle, each in a sentence. */
  dropped: string[];
}

/** @returns the resources with their implied edges, and with the parts of their specs that depend on the other resources */
export function withImpliedEdges(resources: readonly Desired[], { kinds, sha256 }: EdgeOptions): WithEdges {
  // If an id is declared twice (an error that is reported elsewhere), the first one counts.
  const drafts = new Map<ResourceId, Desired>([...resources].reverse().map((r) => [r.id, r]));
  let placed: Placed[] | null = null;
  const inferred: InferredEdge[] = [];
  let names: ReadonlyMap<string, ReadonlySet<string>> | null = null;
  const all: Drafts = {
    get: (id) => drafts.get(id),
    placed() {
      placed ??= [...drafts.values()].flatMap(({ id, spec }) => {
        const place = definitionOf(kinds, id).place?.(spec);
        return place ? [{ id, ...place }] : [];
      });
      return placed;
    },
    namesIn(directory) {
      names ??= namesByDirectory(resources.flatMap(({ id, spec }) => definitionOf(kinds, id).paths?.(spec) ?? []));
      return [...(names.get(directory) ?? [])].sort();
    },
    add(id, edge, other) {
      const draft = drafts.get(id);
      if (draft === undefined || !drafts.has(other) || id === other || draft[edge]?.includes(other)) return;
      // A written edge wins over an inferred one.
      if (edge === 'after' && drafts.get(other)?.after.includes(id)) return;
      drafts.set(id, { ...draft, [edge]: [...(draft[edge] ?? []), other] });
      inferred.push({ id, edge, other });
    },
  };
  for (const resource of resources) definitionOf(kinds, resource.id).edges?.(resource, all);
  for (const resource of resources)
    for (const path of definitionOf(kinds, resource.id).mounts?.(resource.spec) ?? []) mountEdges(resource, path, all);
  nameEdges({ kinds, drafts, all });
  const dropped = breakCycles(drafts, inferred);
  const complete = resources.map((r) => {
    const draft = drafts.get(r.id) ?? r;
    const spec = definitionOf(kinds, r.id).complete?.(draft.spec, all) ?? null;
    return spec === null ? draft : { ...draft, spec, hash: canonicalHash(spec, sha256) };
  });
  return { resources: complete, dropped };
}

/**
 * A mounted path is applied first. A mount of a single file keeps the old inode when the file is replaced, so the service that
 * mounts it restarts; changes in a mounted directory are visible at once, and lead to what the service declares for them.
 */
function mountEdges({ id: user, quiet = [], follows = [] }: Desired, path: string, all: Drafts): void {
  const verb = follows.find((followed) => followed.path === path)?.verb;
  for (const other of all.placed()) {
    if (!isWithin(other.path, path)) continue;
    all.add(user, 'after', other.id);
    const isAlone = other.path === path && other.replaced;
    if (isAlone && !quiet.includes(path)) all.add(other.id, 'notify', user);
    if (!isAlone && verb) all.add(other.id, verb === 'restart' ? 'notify' : 'reload', user);
  }
}

/** Directory → names in it that are one of these paths, or lead to one of them. */
function namesByDirectory(paths: readonly string[]): Map<string, Set<string>> {
  const names = new Map<string, Set<string>>();
  for (const path of paths) {
    const parts = path.split('/').slice(1);
    parts.forEach((name, i) => {
      const directory = `/${parts.slice(0, i).join('/')}`;
      names.set(directory, (names.get(directory) ?? new Set()).add(name));
    });
  }
  return names;
}
