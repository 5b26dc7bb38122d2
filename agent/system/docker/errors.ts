/** Errors for an engine that refuses or cannot be reached: sentences with stable codes. */
import type { ResourceId } from '../../core/types.ts';
import { AgentError, asAgentError } from '../../errors.ts';
import { withoutIds } from './engine-ids.ts';
import { refusalOf } from './engine-words.ts';

/** Errors of a socket (unix(7)); a closed connection is ECONNRESET as well. With EAGAIN too many connections wait. */
const UNREACHABLE = ['ENOENT', 'EAGAIN', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'EACCES'];

/** No answer came in time. */
export class Late extends Error {
  /** What was to be done, as in `cannot …`. */
  readonly what: string;

  constructor(what: string, timeoutMs: number) {
    super(`no answer within ${timeoutMs / 1000} s`);
    this.what = what;
  }
}

const INSPECT_ADVICE =
  'restart docker.service; if that does not help, remove the container or image, and it is created or pulled again';

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

/** Something else removes a container, and is not done with it. */
export const stillThere = (waitedMs: number): AgentError =>
  new AgentError({
    code: 'ContainerMissing',
    phase: 'apply',
    message: `cannot remove a container: the Docker engine is already removing it, and it is still there after ${waitedMs / 1000} s; it is tried again`,
  });

/**
 * @param what what was to be done, as in `cannot …`
 * @param thrown of the engine's client: the engine's own message, or the `code` of a connection that failed
 * @param refused the code of a refusal of which nothing more is known
 */
export function explain(
  what: string,
  socket: string,
  thrown: unknown,
  refused: 'EngineRefused' | 'InspectFailed' = 'EngineRefused',
): AgentError {
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
  const advice = known?.advice ?? (refused === 'InspectFailed' ? INSPECT_ADVICE : null);
  return new AgentError({
    code: known?.code ?? refused,
    phase: 'apply',
    cause: thrown,
    message: `cannot ${what}: ${why}${advice === null ? '' : `; ${advice}`}`,
  });
}

/**
 * The failure to observe one resource of an engine that answers otherwise.
 * @param thrown also by an inspection without an answer, such as of a container whose start hangs
 * @throws the error of an engine that cannot be reached
 */
export function observeFailed(thrown: unknown, resource: ResourceId): AgentError {
  const error = asAgentError(thrown, { code: 'ObserveFailed', phase: 'observe', resource });
  if (error.code !== 'EngineUnreachable') return error;
  if (!(error.cause instanceof Late)) throw error;
  const message = `cannot ${error.cause.what}: ${error.cause.message}; ${INSPECT_ADVICE}`;
  return new AgentError({ code: 'InspectFailed', phase: 'observe', resource, message, cause: thrown });
}
