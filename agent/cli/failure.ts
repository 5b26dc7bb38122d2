/** Prints a failure to the person who ran the program. */
import { AgentError } from '../errors.ts';
import { whyUnread } from '../reading.ts';
import { tameLines } from '../tame.ts';
import { EXIT } from './context.ts';

/** A call of the system that failed on a file is no bug, which a stack would help to find. */
function refusal(thrown: unknown): string | null {
  const { code, syscall, path } = (thrown ?? {}) as NodeJS.ErrnoException;
  if (code === undefined || syscall === undefined || path === undefined) return null;
  const advice = code === 'EACCES' || code === 'EPERM' ? '; run it as root, or as whom the file belongs to' : '';
  return `cannot ${syscall} ${path}: ${whyUnread(thrown)}${advice}`;
}

/** Prints what failed. @returns the exit code for it */
export function failure(thrown: unknown, stderr: (text: string) => void): number {
  const error = thrown instanceof AgentError ? thrown : null;
  const text =
    error?.message ?? refusal(thrown) ?? (thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown));
  stderr(`fairlead: ${tameLines(text)}\n`);
  return error && ['DaemonUnreachable', 'BrokerUnreachable'].includes(error.code) ? EXIT.unreachable : EXIT.bad;
}
