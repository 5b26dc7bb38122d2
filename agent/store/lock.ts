/** Ensures that only one agent uses a state directory. */
import path from 'node:path';
import Database from 'better-sqlite3';
import { AgentError } from '../errors.ts';

export interface Lock {
  release(): void;
}

/**
 * Takes an exclusive lock on the directory, or throws AgentError `AlreadyRunning`. It is SQLite's lock on an empty database,
 * and so a lock of the kernel (fcntl): it ends with the process, however that ends, and a file that is left behind does no
 * harm.
 */
export function lockState({ dir, nativeBinding }: { dir: string; nativeBinding?: string | undefined }): Lock {
  const db = new Database(path.join(dir, 'agent.lock'), { timeout: 0, ...(nativeBinding ? { nativeBinding } : {}) });
  try {
    db.exec('BEGIN EXCLUSIVE');
  } catch (thrown) {
    db.close();
    if ((thrown as { code?: unknown }).code !== 'SQLITE_BUSY') throw thrown;
    throw new AgentError({
      code: 'AlreadyRunning',
      phase: 'config',
      message: `another agent is at work on ${dir}; \`fairlead sync\` asks it to reconcile, \`systemctl stop fairlead\` ends it`,
    });
  }
  return { release: () => void db.close() };
}
