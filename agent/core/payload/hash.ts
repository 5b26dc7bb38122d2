/** Canonical hashes of specs. Pure: the digest is passed in. */

import { StoredFile } from './payload.ts';

export type Sha256 = (bytes: Uint8Array) => string;

/** Increase it whenever the meaning of the hashed data changes, so that old marks never match by accident. */
const VERSION = 'v1';

/** Hash of a spec: keys are sorted, undefined is left out, bytes are replaced by their digest. */
export function canonicalHash(spec: unknown, sha256: Sha256): string {
  return `${VERSION}:${sha256(new TextEncoder().encode(canonicalText(spec, sha256)))}`;
}

/** Uses JSON.stringify, which is fast: a host with thousands of files is hashed at each new commit. */
export const canonicalText = (value: unknown, sha256: Sha256): string =>
  JSON.stringify(canonical(value, sha256)) ?? 'null';

/**
 * A copy with sorted keys, so that equal values have the same JSON text. Keys that are array indices come first, in numeric order
 * (ECMA-262, OrdinaryOwnPropertyKeys).
 */
function canonical(value: unknown, sha256: Sha256): unknown {
  if (value === null || typeof value !== 'object') return value;
  if (value instanceof Uint8Array) return { sha256: sha256(value) };
  if (value instanceof StoredFile) return { sha256: value.sha256 };
  if (Array.isArray(value)) return value.map((item) => canonical(item, sha256));
  const copy: Record<string, unknown> = {};
  for (const key of Object.keys(value).sort()) {
    const member = canonical((value as Record<string, unknown>)[key], sha256);
    // An assignment would set the prototype.
    if (key === '__proto__') Object.defineProperty(copy, key, { value: member, enumerable: true });
    else copy[key] = member;
  }
  return copy;
}
