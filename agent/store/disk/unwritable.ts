/** Recognises that the disk of the state is full, broken or read-only, and makes the error for it. */
import { AgentError } from '../../errors.ts';

/** Codes of SQLite (result codes, sqlite3.org) and of the kernel (errno(3)). */
const CODES = /^(SQLITE_(FULL|IOERR|READONLY|CANTOPEN)|(ENOSPC|EDQUOT|EROFS|EIO|EFBIG|StateUnwritable)$)/;

export function isUnwritable(thrown: unknown): boolean {
  const code = (thrown as { code?: unknown } | null)?.code;
  return typeof code === 'string' && CODES.test(code);
}

/** @param dir the state directory, for the message */
export const unwritable = (dir: string, thrown: unknown): AgentError =>
  thrown instanceof AgentError
    ? thrown
    : new AgentError({
        code: 'StateUnwritable',
        phase: 'record',
        message: `cannot write to ${dir}: ${thrown instanceof Error ? thrown.message : String(thrown)}; free or repair its disk. Managed resources keep running, and repairs without a new record continue; nothing new is started. fairlead tries again by itself`,
        cause: thrown,
      });
