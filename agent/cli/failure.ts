/** Prints a failure to the person who ran the program. */
import { AgentError } from '../errors.ts';
import { tameLines } from '../tame.ts';
import { EXIT } from './context.ts';

/** Says what failed. @returns the exit code for it */
export function failure(thrown: unknown, stderr: (text: string) => void): number {
  const error = thrown instanceof AgentError ? thrown : null;
  const text = error?.message ?? (thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown));
  stderr(`fairlead: ${tameLines(text)}\n`);
  return error && ['DaemonUnreachable', 'BrokerUnreachable'].includes(error.code) ? EXIT.unreachable : EXIT.bad;
}
