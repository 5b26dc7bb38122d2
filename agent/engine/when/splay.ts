import { createHash } from 'node:crypto';

/** A host's stable offset within the splay, in milliseconds. */
export function splayOffset(host: string, splayMs: number): number {
  if (splayMs === 0) return 0;
  return Number.parseInt(createHash('sha256').update(host).digest('hex').slice(0, 8), 16) % splayMs;
}
