/** Files that are made once and that only their owner reads, as the host's keys. */
import { chmodSync, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { AgentError } from '../../errors.ts';
import { createFile } from './durable-file.ts';

/**
 * The file's text; `fresh` and a newline, written first, where there is none. Never replaces one. Durable when it returns:
 * secrets may be encrypted to a key from then on. @throws AgentError `StateUnwritable`, or the error of the path
 */
export function readOrCreate(file: string, fresh: string): string {
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  try {
    const text = readFileSync(file, 'utf8');
    chmodSync(file, 0o600);
    return text;
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT') throw ofDisk(`read ${file}`, thrown);
  }
  try {
    createFile(file, `${fresh}\n`);
  } catch (thrown) {
    throw ofDisk(`write ${file}`, thrown);
  }
  return readFileSync(file, 'utf8');
}

/** Reading and writing name no path in their errors, which would look like a bug then. Errors with a path stay as they are. */
function ofDisk(what: string, thrown: unknown): unknown {
  const { message, path: named } = thrown as NodeJS.ErrnoException;
  if (named !== undefined) return thrown;
  return new AgentError({
    code: 'StateUnwritable',
    phase: 'config',
    message: `cannot ${what}: ${message}; free, repair or replace its disk`,
    cause: thrown,
  });
}
