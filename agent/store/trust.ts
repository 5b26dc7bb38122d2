/**
 * The record of accepted commits, in a small file beside the age key, so that no older commit is applied even if the database
 * is lost. Complete and durable at every moment; readable by root only.
 */
import path from 'node:path';
import { NO_RECORD, type Provenance, type TrustRecord, withAccepted } from '../core/trust.ts';
import { replaceFile } from './disk/durable-file.ts';
import { readStateFile } from './disk/state-file.ts';
import { isUnwritable } from './disk/unwritable.ts';

export interface Trust {
  get(): TrustRecord;
  /** Why the file cannot be read, as a sentence; null if it can, or if there is none. The next acceptance replaces it. */
  damage(): string | null;
  /** Durable when it returns. Throws errors of the disk. */
  accept(passed: Provenance): void;
}

/** @param dir of the state; the file is `trust.json` in it. Throws `StateUnwritable` if the disk does not give it */
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
    const text = readStateFile(file);
    if (text === null) return { record: NO_RECORD, damage: null };
    const { newest, accepted } = JSON.parse(text) as TrustRecord;
    if (!Array.isArray(accepted) || ![...accepted, ...Object.values(newest)].every(isProvenance))
      throw new Error('its content is invalid');
    return { record: { newest, accepted }, damage: null };
  } catch (thrown) {
    if (isUnwritable(thrown)) throw thrown;
    return { record: NO_RECORD, damage: `${file} cannot be read: ${(thrown as Error).message}` };
  }
}

const isProvenance = (found: unknown): boolean => {
  const { source, commit, kind, name } = (found ?? {}) as Record<string, unknown>;
  return (
    [source, commit, name].every((text) => typeof text === 'string') && (kind === null || typeof kind === 'string')
  );
};
