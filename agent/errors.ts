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

export interface AgentErrorInit {
  /** Stable and CamelCase: shown as `reason` in status and history, where alerts of users hang on it. */
  code: string;
  phase: Phase;
  /** One sentence: what failed, why, and what to do. Never a secret. */
  message: string;
  resource?: string;
  /** Worth another try without a new commit (an outage), as opposed to a mistake in the declaration. */
  retry?: boolean;
  cause?: unknown;
}

/** A failure the agent expects and explains; anything else that is thrown is a bug. */
export class AgentError extends Error {
  readonly code: string;
  readonly phase: Phase;
  readonly resource: string | undefined;
  readonly retry: boolean;

  constructor(init: AgentErrorInit) {
    super(init.message, init.cause === undefined ? undefined : { cause: init.cause });
    this.name = 'AgentError';
    this.code = init.code;
    this.phase = init.phase;
    this.resource = init.resource;
    this.retry = init.retry ?? false;
  }
}

/** Turns whatever was thrown into an AgentError, keeping one that already is. */
export function asAgentError(thrown: unknown, fallback: Omit<AgentErrorInit, 'message'>): AgentError {
  if (thrown instanceof AgentError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new AgentError({ ...fallback, message, cause: thrown });
}
