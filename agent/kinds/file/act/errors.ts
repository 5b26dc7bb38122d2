/** Errors of a step on a file. */
import type { ResourceId } from '../../../core/types.ts';
import { AgentError, asAgentError } from '../../../errors.ts';

export const failed = (resource: ResourceId, thrown: unknown): AgentError =>
  asAgentError(thrown, { code: 'FileFailed', phase: 'apply', resource });

export const stopped = (resource: ResourceId) =>
  new AgentError({
    code: 'Stopped',
    phase: 'apply',
    resource,
    message: 'the agent was stopped before this removal',
  });

export const occupied = (file: string, what: string) =>
  new AgentError({
    code: 'PathOccupied',
    phase: 'apply',
    message: `${file} is ${what}, which fairlead does not delete; remove it by hand if it can go`,
  });
