/**
 * What this host accepted, in a small file beside the age key: nothing older is applied after it, also where the database
 * was lost. Whole and durable at every moment; root's own.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { NO_RECORD, type Provenance, type TrustRecord, withAccepted } from '../core/trust.ts';
import { replaceFile } from './durable-file.ts';

export interface Trust {
  get(): TrustRecord;
  /** Why the file cannot be read, as a sentence; null where it can, or where there is none. The next acceptance replaces it. */
  damage(): string | null;
  /** Durable when it returns. Throws what the disk does. */
  accept(passed: Provenance): void;
}

/** @param dir of the state; the file is `trust.json` in it */
export function openTrust(dir: string): Trust {
  const file = path.join(dir, 'trust.json');
  let { record, damage } = read(file);
  return {
    get: () => record,
    damage: () => damage,
    accept(passed) {
      const next = withAccepted(record, passed);
      const text = JSON.stringify({ schema: 1, ...next });
      if (damage !== null || text !== JSON.stringify({ schema: 1, ...record })) replaceFile(file, text);
      record = next;
      damage = null;
    },
  };
}

function read(file: string): { record: TrustRecord; damage: string | null } {
  try {
    const { newest, accepted } = JSON.parse(readFileSync(file, 'utf8')) as TrustRecord;
    if (!Array.isArray(accepted) || ![...accepted, ...Object.values(newest)].every(isProvenance))
      throw new Error('it is not what fairlead writes');
    return { record: { newest, accepted }, damage: null };
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return { record: NO_RECORD, damage: null };
    return { record: NO_RECORD, damage: `${file} cannot be read: ${(thrown as Error).message}` };
  }
}

const isProvenance = (found: unknown): boolean => {
  const { source, commit, kind, name } = (found ?? {}) as Record<string, unknown>;
  return (
    [source, commit, name].every((text) => typeof text === 'string') && (kind === null || typeof kind === 'string')
  );
};
