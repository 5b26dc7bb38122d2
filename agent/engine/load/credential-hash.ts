/**
 * Hashes of declarations that contain credentials: the stored hash must not help anybody to guess one. Pure, given the hash.
 */
import { credentialsIn, isDistinctive } from '../../core/credentials/credentials.ts';
import { canonicalHash, type Sha256 } from '../../core/payload/hash.ts';
import type { Desired } from '../../core/types.ts';

export interface Keyed {
  /** The same resources; those that contain a credential have a hash with the host's key. */
  keyed: Desired[];
  /** Credentials that may be masked wherever they occur. */
  credentials: string[];
}

export function keyedForCredentials(resources: readonly Desired[], keyedHash: Sha256): Keyed {
  const found = new Set<string>();
  const keyed = resources.map((resource) => {
    const credentials = credentialsIn(resource.spec);
    for (const one of credentials) found.add(one);
    return credentials.length === 0 ? resource : { ...resource, hash: canonicalHash(resource.spec, keyedHash) };
  });
  return { keyed, credentials: [...found].filter(isDistinctive) };
}
