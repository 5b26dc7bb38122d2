/** The disk of the state is full, broken or read only: what that looks like, and the error that says so. */
import { AgentError } from '../errors.ts';

/** Of SQLite (result codes, sqlite3.org) and of the kernel (errno(3)). */
const CODES = /^(SQLITE_(FULL|IOERR|READONLY|CANTOPEN)|(ENOSPC|EDQUOT|EROFS|EIO|EFBIG|StateUnwritable)$)/;

export function isUnwritable(thrown: unknown): boolean {
  const code = (thrown as { code?: unknown } | null)?.code;
  return typeof code === 'string' && CODES.test(code);
}

/** @param dir the state directory, to name it */
export const unwritable = (dir: string, thrown: unknown): AgentError =>
  thrown instanceof AgentError
    ? thrown
    : new AgentError({
        code: 'StateUnwritable',
        phase: 'record',
        message: `cannot write to ${dir}: ${thrown instanceof Error ? thrown.message : String(thrown)}; free or mend the disk there. What is managed runs on, and what can be repaired without a record of its own is repaired; nothing new is begun. fairlead tries again by itself`,
        cause: thrown,
      });
