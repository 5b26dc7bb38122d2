/**
 * The index of a fleet on its broker: one retained topic for each host, `<prefix>/<fleet>/index/<slice>/<host>`, so that a
 * reader can fetch the names in parts that fit the queue of any broker (docs/reporting.md). Pure: the digest is passed in.
 */
import type { Sha256 } from '../payload/hash.ts';

/** Names of all slices, `00` to `ff`. */
export const SLICES: readonly string[] = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, '0'));

/** The first byte of SHA-256 of the host's name, as two hexadecimal digits. */
export const sliceOf = (host: string, sha256: Sha256): string => sha256(new TextEncoder().encode(host)).slice(0, 2);
