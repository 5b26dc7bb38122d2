/** Canonical hashes of specs. Pure: the digest is passed in. */

import { StoredFile } from './payload.ts';

export type Sha256 = (bytes: Uint8Array) => string;

/** Grows whenever what is hashed changes its meaning, so that old marks never match by chance. */
const VERSION = 'v1';

/** Hash of a spec: keys sorted, undefined left out, bytes by their own digest. */
export function canonicalHash(spec: unknown, sha256: Sha256): string {
  return `${VERSION}:${sha256(new TextEncoder().encode(canonicalText(spec, sha256)))}`;
}

/** JSON, written at once: a host with thousands of files is hashed with each new commit. */
export function canonicalText(value: unknown, sha256: Sha256): string {
  if (value === null || typeof value !== 'object') return JSON.stringify(value) ?? 'null';
  if (value instanceof Uint8Array) return `{"sha256":"${sha256(value)}"}`;
  if (value instanceof StoredFile) return `{"sha256":"${value.sha256}"}`;
  if (Array.isArray(value)) return `[${value.map((item) => canonicalText(item, sha256)).join(',')}]`;
  const members: string[] = [];
  for (const key of inOrder(Object.keys(value))) {
    const member = (value as Record<string, unknown>)[key];
    if (member !== undefined) members.push(`${JSON.stringify(key)}:${canonicalText(member, sha256)}`);
  }
  return `{${members.join(',')}}`;
}

/** As an object made of them has them: those that are array indices first, by number (ECMA-262, OrdinaryOwnPropertyKeys). */
function inOrder(keys: string[]): string[] {
  keys.sort();
  const indices = keys.filter(isIndex);
  if (indices.length === 0) return keys;
  return [...indices.sort((a, b) => Number(a) - Number(b)), ...keys.filter((key) => !isIndex(key))];
}

const isIndex = (key: string): boolean => /^(0|[1-9]\d{0,9})$/.test(key) && Number(key) < 4_294_967_295;
