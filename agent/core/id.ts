/** The two halves of a resource's id, `kind:locator`. Pure. */
import { KINDS, type Kind } from '../../manifests-schema/kinds/index.ts';
import type { ResourceId } from './types.ts';

/** @throws TypeError if no kind has this id */
export function kindOf(id: ResourceId): Kind {
  // Called ten times for each resource in every run, so it allocates nothing.
  for (const kind of KINDS) if (id.startsWith(kind) && id[kind.length] === ':') return kind;
  throw new TypeError(`not a resource id: ${id}`);
}

/** The object on the host that an id denotes: a path, a unit's name, `project/service`. */
export const locatorOf = (id: ResourceId): string => id.slice(id.indexOf(':') + 1);
