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
 * What the commit is repaired by is durable when this resolves; that it is begun is written, and not durable yet.
 * Throws AgentError `StateUnwritable`.
 */
export async function begin({ snapshots, store }: EngineDeps, checkout: Checkout): Promise<Beginning> {
  await snapshots.save(checkout);
  if (store.meta.get<number>('settlingMs')) store.meta.note('settlingMs', 0);
  const mark = { trial: checkout.info.commit };
  store.commits.set(mark, true);
  return { durable: () => store.commits.set(mark) };
}
