/** Declarations with credentials in them: what is stored of them must not help to guess one. Pure, given the hash. */
import { credentialsIn, isTelling } from '../../core/credentials.ts';
import { canonicalHash, type Sha256 } from '../../core/hash.ts';
import type { Desired } from '../../core/types.ts';

export interface Keyed {
  /** The same resources; those that hold a credential are hashed under the host's key. */
  keyed: Desired[];
  /** What may be masked wherever it stands. */
  credentials: string[];
}

export function keyedWhereTelling(resources: readonly Desired[], keyedHash: Sha256): Keyed {
  const found = new Set<string>();
  const keyed = resources.map((resource) => {
    const credentials = credentialsIn(resource.spec);
    for (const one of credentials) found.add(one);
    return credentials.length === 0 ? resource : { ...resource, hash: canonicalHash(resource.spec, keyedHash) };
  });
  return { keyed, credentials: [...found].filter(isTelling) };
}
