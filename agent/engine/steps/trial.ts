/** The beginning of a new commit: should it be cut off, the next run goes on with the same commit. */
import type { Checkout } from '../../core/types.ts';
import type { EngineDeps } from '../types.ts';

export interface Beginning {
  /**
   * To be called before anything is done that no intent announces: a durable write, such as that of intents, makes all that
   * came before it durable. Throws AgentError `StateUnwritable`.
   */
  durable(): void;
}

/** Of what was begun before, or begins nothing. */
export const BEGUN: Beginning = { durable: () => undefined };

/**
 * That the commit is begun is written, and not durable yet. Its snapshot is durable already.
 * @param ways the ways home that are open now: after a restart it is too late to ask
 * Throws AgentError `StateUnwritable`.
 */
export function begin({ store }: EngineDeps, checkout: Checkout, ways: readonly string[]): Beginning {
  if (store.meta.get<number>('settlingMs')) store.meta.note('settlingMs', 0);
  const mark = { trial: checkout.info.commit, trialWays: ways };
  store.commits.set(mark, true);
  return { durable: () => store.commits.set(mark) };
}
