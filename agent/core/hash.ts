/** Canonical hashes of specs. Pure: the digest is passed in. */

import { StoredFile } from './payload.ts';

export type Sha256 = (bytes: Uint8Array) => string;

/** Grows whenever what is hashed changes its meaning, so that old marks never match by chance. */
const VERSION = 'v1';

/** Hash of a spec: keys sorted, undefined left out, bytes by their own digest. */
export function canonicalHash(spec: unknown, sha256: Sha256): string {
  return `${VERSION}:${sha256(new TextEncoder().encode(JSON.stringify(canonical(spec, sha256))))}`;
}

function canonical(value: unknown, sha256: Sha256): unknown {
  if (value instanceof Uint8Array) return { sha256: sha256(value) };
  if (value instanceof StoredFile) return { sha256: value.sha256 };
  if (Array.isArray(value)) return value.map((item) => canonical(item, sha256));
  if (value === null || typeof value !== 'object') return value;
  const entries = Object.entries(value).filter(([, v]) => v !== undefined);
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)).map(([k, v]) => [k, canonical(v, sha256)]));
}
