/** Errors for an engine that refuses or cannot be reached: sentences with stable codes. */
import { AgentError } from '../../errors.ts';
import { withoutIds } from './engine-ids.ts';
import { refusalOf } from './engine-words.ts';

/** Errors of a socket (unix(7)); a closed connection is ECONNRESET as well. */
const UNREACHABLE = ['ENOENT', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'EACCES'];

/** No answer came in time. */
export class Late extends Error {}

/** HTTP status of an answer, also of an error that was explained; 0 if there was none. */
export const statusOf = (thrown: unknown): number => Number((thrown as { statusCode?: unknown }).statusCode ?? 0);

/** Something acts on a container that is not there any more. */
export const gone = (what: string, cause: unknown): AgentError =>
  new AgentError({
    code: 'ContainerMissing',
    phase: 'apply',
    cause,
    message: `cannot ${what}: it is gone; something else removed it, and it is recreated`,
  });

/**
 * @param what what was to be done, as in `cannot …`
 * @param thrown of the engine's client: the engine's own message, or the `code` of a connection that failed
 */
export function explain(what: string, socket: string, thrown: unknown): AgentError {
  if (thrown instanceof AgentError) return thrown;
  const raw = thrown instanceof Error ? thrown.message : String(thrown);
  const code = String((thrown as { code?: unknown }).code ?? '');
  const why = withoutIds(raw.replace(/^\(HTTP code \d+\) [^-]*- /, '').trim(), what);
  if (thrown instanceof Late || UNREACHABLE.includes(code)) {
    return new AgentError({
      code: 'EngineUnreachable',
      phase: 'observe',
      message: `cannot reach the Docker engine at ${socket} (${what}): ${why || code}; is docker.service running?`,
      cause: thrown,
    });
  }
  const known = refusalOf(raw);
  const advice = known ? `; ${known.advice}` : '';
  return new AgentError({
    code: known?.code ?? 'EngineRefused',
    phase: 'apply',
    cause: thrown,
    message: `cannot ${what}: ${why}${advice}`,
  });
}
