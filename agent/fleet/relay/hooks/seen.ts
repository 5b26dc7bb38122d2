/** Records accepted requests, so that a repeated one has no effect: the newest ones, kept over restarts. */
import { readWhole } from '../../../reading.ts';
import { replaceFile } from '../../../store/disk/durable-file.ts';

/** Each has 64 letters. */
const MOST = 1_000;

export interface Seen {
  has(id: string): boolean;
  /** Stored when it returns. Throws errors of the disk; then the request is remembered until this process ends. */
  add(id: string): void;
}

/** A damaged file counts as empty: then a request may be accepted twice, which does no harm. */
export function openSeen(file: string): Seen {
  const ids = new Set(readIds(file));
  return {
    has: (id) => ids.has(id),
    add(id) {
      ids.add(id.slice(0, 128));
      for (const oldest of ids) {
        if (ids.size <= MOST) break;
        ids.delete(oldest);
      }
      replaceFile(file, JSON.stringify([...ids]));
    },
  };
}

function readIds(file: string): string[] {
  try {
    const value: unknown = JSON.parse(Buffer.from(readWhole(file) ?? []).toString('utf8'));
    return Array.isArray(value) ? value.filter((id) => typeof id === 'string').slice(-MOST) : [];
  } catch {
    return [];
  }
}
