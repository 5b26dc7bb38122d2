/** The beginning of a new commit, durable before anything is done: should this be cut off, the next run goes on with the same commit. */
import type { Checkout } from '../core/types.ts';
import type { EngineDeps } from './types.ts';

export interface Beginning {
  /** Resolves when it is durable. Throws AgentError `StateUnwritable`. */
  durable(): Promise<void>;
  /** The same without an fsync of its own: the caller writes intents at once, which are durable. */
  withIntents(): Promise<void>;
  /** Resolves when nothing is being written any more, whatever came of it. */
  idle(): Promise<void>;
}

/** Of what was begun before, or begins nothing. */
const nothing = async () => undefined;
export const BEGUN: Beginning = { durable: nothing, withIntents: nothing, idle: nothing };

/** What the commit is repaired by begins to be written at once: most likely something is to be done. */
export function createBeginning({ snapshots, store }: EngineDeps, checkout: Checkout): Beginning {
  let isBegun = false;
  const saved = snapshots.save(checkout);
  // Whoever waits for it is told.
  const idle = saved.catch(() => undefined);
  const begin = async (light: boolean) => {
    await saved;
    if (isBegun) return;
    if (store.meta.get<number>('settlingMs')) store.meta.note('settlingMs', 0);
    store.commits.set({ trial: checkout.info.commit }, light);
    isBegun = true;
  };
  return { durable: () => begin(false), withIntents: () => begin(true), idle: () => idle };
}
