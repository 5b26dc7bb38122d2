/** Turns a function that acts on one thing and throws into one that acts on many and returns the failures by id. */
import { type AgentError, asAgentError } from '../errors.ts';
import type { Failures, Gone } from './provider.ts';
import type { ResourceId } from './types.ts';

/** One after another; a failure of one does not affect the others. @param idOf the id under which its failure is returned */
async function each<T>(
  all: readonly T[],
  idOf: (one: T) => ResourceId,
  act: (one: T) => Promise<void>,
): Promise<Failures> {
  const failures = new Map<ResourceId, AgentError>();
  for (const one of all) {
    try {
      await act(one);
    } catch (thrown) {
      const resource = idOf(one);
      failures.set(resource, asAgentError(thrown, { code: 'ApplyFailed', phase: 'apply', resource }));
    }
  }
  return failures;
}

/** Adapter for `Provider.apply`. */
export const eachWork = <W extends { want: { id: ResourceId } }>(
  work: readonly W[],
  act: (one: W) => Promise<void>,
): Promise<Failures> => each(work, ({ want }) => want.id, act);

/** Adapter for `Provider.remove`. */
export const eachGone = <F>(gone: readonly Gone<F>[], act: (one: Gone<F>) => Promise<void>): Promise<Failures> =>
  each(gone, ({ id }) => id, act);
