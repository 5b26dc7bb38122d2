/** The interface that every transport to a git server offers, and the errors that they share. */
import { AgentError, type AgentErrorInit, type Reach } from '../../errors.ts';

/** One transport to one repository. It reads credentials and certificates at each use, so that they can rotate. */
export interface Remote {
  /**
   * Sends a request (null: only reads the first answer of the server) and returns the bytes of the answer as they arrive.
   * @param what for errors and time limits: `refs` are small and quick, a `pack` may take its time
   */
  exchange(request: Exchange, signal: AbortSignal): AsyncIterable<Uint8Array>;
  /** Requests are independent, and the first answer of the server is needed only once. */
  readonly stateless: boolean;
  /** Name of the repository in errors; without credentials. */
  readonly name: string;
}

export interface Exchange {
  /** Null: the first answer of the server. */
  body: Uint8Array | null;
  size: 'refs' | 'pack';
}

/** Milliseconds. */
export interface Limits {
  /** To reach the server, encryption included. */
  connect: number;
  /** From the request to the first byte of the answer. */
  answer: number;
  /** Without a single byte, once the answer began. */
  stall: number;
  /** For all of a small exchange, and of one that carries a pack. */
  refs: number;
  pack: number;
}

export const LIMITS: Limits = { connect: 10_000, answer: 60_000, stall: 30_000, refs: 60_000, pack: 900_000 };

export const seconds = (ms: number): string => `${ms < 1_000 ? ms / 1_000 : Math.round(ms / 1_000)} s`;

/** The server was reached, and answered something else than git. */
export class UnexpectedAnswer extends AgentError {}

/** @param more whether the server was reached: `silent` by default */
export const unreachable = (name: string, why: string, more: { cause?: unknown; reach?: Reach } = {}): AgentError =>
  new AgentError({ ...unreachability(name, why), ...more });

export const unexpected = (name: string, why: string): AgentError =>
  new UnexpectedAnswer({ ...unreachability(name, why), reach: 'answered' });

const unreachability = (name: string, why: string): AgentErrorInit => ({
  code: 'RepositoryUnreachable',
  phase: 'fetch',
  message: `cannot read ${name}: ${why}; check repo.url and the way there`,
});

export const stopped = () => new AgentError({ code: 'Stopped', phase: 'fetch', message: 'the fetch was stopped' });

/** @param used the name of the presented credential, never its content; null if there is none */
export function unauthorised(name: string, used: string | null, answer: string): AgentError {
  const init: AgentErrorInit = {
    code: 'AuthenticationFailed',
    phase: 'fetch',
    message: `authentication to ${name} failed: ${answer.replace(/\.$/, '')}. Used: ${used ?? 'no credential'}; check repo.auth in agent.yaml`,
  };
  // Without a credential it may be the request that is refused; a wrong one is not tried twice.
  return used === null ? new UnexpectedAnswer(init) : new AgentError(init);
}

/** Text that a server wrote, fit for one line of a log. */
export const quoted = (text: string): string =>
  text
    .replace(/[^\x20-\x7e]+/g, ' ')
    .replace(/\s+/g, ' ')
    .trim()
    .slice(0, 200);
