/** Reading the small files of the state: what the disk does not give now must not count as lost. */
import { readFileSync } from 'node:fs';
import { AgentError } from '../../errors.ts';
import { isUnwritable } from './unwritable.ts';

/** @returns its text; null if there is none. Throws AgentError `StateUnwritable` for errors of the disk, and others as they are. */
export function readStateFile(file: string): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch (thrown) {
    const { code, message } = thrown as NodeJS.ErrnoException;
    if (code === 'ENOENT') return null;
    if (!isUnwritable(thrown)) throw thrown;
    throw new AgentError({
      code: 'StateUnwritable',
      phase: 'config',
      message: `cannot read ${file}: ${message}; repair or replace its disk. fairlead tries again by itself`,
      cause: thrown,
    });
  }
}
