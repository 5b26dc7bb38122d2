/** The one kind of error that is expected, and what it says. */
import { type ReasonCode, reasonOf } from '../manifests-schema/reasons.ts';
import { tameLines } from './tame.ts';

/** The stage of a run in which something failed. */
export type Phase =
  | 'config'
  | 'fetch'
  | 'load'
  | 'observe'
  | 'plan'
  | 'prepare'
  | 'apply'
  | 'settle'
  | 'record'
  | 'report';

/**
 * What a failure tells of the way to a far end. `answered`: the far end itself gave an answer, refused the connection or
 * hung up, so the way to it is open. `here`: this host says it, since it knows no route or no name, does not trust the
 * certificate, or does not let the packet out. `silent`: nothing was heard.
 */
export type Reach = 'answered' | 'here' | 'silent';

export interface AgentErrorInit {
  /** Stable: shown as `reason` in status and history, where alerts of users hang on it; see manifests-schema/reasons.ts. */
  code: ReasonCode;
  phase: Phase;
  /** One sentence: what failed, why, and what to do. Never a secret. */
  message: string;
  resource?: string;
  /** Whether another try without a new commit is worth it, if it is otherwise than the table says of this code. */
  retry?: boolean;
  /** What it tells of the way to a far end; by default what the table says of this code. */
  reach?: Reach;
  /** When it is tried again, ISO 8601, where that is known. */
  until?: string;
  /** What the far end asks for: no other try before that many ms. */
  retryAfterMs?: number;
  cause?: unknown;
}

/** A failure the agent expects and explains; anything else that is thrown is a bug. */
export class AgentError extends Error {
  readonly code: ReasonCode;
  readonly phase: Phase;
  readonly resource: string | undefined;
  readonly retry: boolean;
  readonly reach: Reach;
  readonly until: string | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(init: AgentErrorInit) {
    super(tameLines(init.message), init.cause === undefined ? undefined : { cause: init.cause });
    this.name = 'AgentError';
    this.code = init.code;
    this.phase = init.phase;
    this.resource = init.resource;
    this.until = init.until;
    this.retryAfterMs = init.retryAfterMs;
    this.retry = init.retry ?? reasonOf(init.code).retry;
    this.reach = init.reach ?? (reasonOf(init.code).answered ? 'answered' : 'silent');
  }
}

/** Turns whatever was thrown into an AgentError, keeping one that already is. */
export function asAgentError(thrown: unknown, fallback: Omit<AgentErrorInit, 'message'>): AgentError {
  if (thrown instanceof AgentError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new AgentError({ ...fallback, message, cause: thrown });
}
