/**
 * Work that only waits for something that runs by itself, such as a job or a oneshot. It outlives the run that started it: a
 * later run for the same declaration waits for it instead of starting it again.
 */
import type { ActionRecord, ResourceId } from '../../core/types.ts';
import type { BackgroundWork, Run } from '../types.ts';

/** Work that has taken this long only waits: a run that is asked for may end without it. In ms. */
export const BACKGROUND_MS = 2_000;

const LOOK_MS = 500;

/**
 * Tracks which of the running steps only wait, and when a run waits for nothing else.
 * @param running by the id under which they started
 */
export function createWaiting(run: Run, running: ReadonlyMap<ResourceId, Promise<void>>) {
  const inBackground = new Set<ResourceId>();
  const timers = new Map<ResourceId, AbortController>();
  let turn = Promise.withResolvers<void>();
  return {
    begun(id: ResourceId) {
      const called = new AbortController();
      timers.set(id, called);
      void run.clock.sleep(BACKGROUND_MS, called.signal).then(() => {
        if (called.signal.aborted) return;
        inBackground.add(id);
        turn.resolve();
        turn = Promise.withResolvers<void>();
      });
    },
    ended(id: ResourceId) {
      timers.get(id)?.abort();
      inBackground.delete(id);
    },
    isInBackground: (id: ResourceId): boolean => inBackground.has(id),
    isAll: (): boolean => [...running.keys()].every((id) => inBackground.has(id)),
    /** Resolves when one more step only waits. */
    turned: (): Promise<void> => turn.promise,
    /** Waits a little; repairs may run meanwhile. @returns false if the run should end without the steps that it waits for */
    async goesOn(): Promise<boolean> {
      if (run.io.hasNext()) return false;
      const waiting = run.background.left().filter(({ id }) => inBackground.has(id as ResourceId));
      run.io.emit({ type: 'phase', phase: 'apply', detail: waiting.map(({ id }) => id).join(', '), waiting });
      await run.io.yielding(Promise.race([...running.values(), run.clock.sleep(LOOK_MS, run.io.signal)]));
      return true;
    },
  };
}

interface Entry {
  hash: string;
  since: string;
  until: string | null;
  record: Promise<ActionRecord | null>;
  hasEnded: boolean;
  /** A run waits for it, so nobody else needs its result. */
  isAwaited: boolean;
}

/** @param ended called if work ends that no run waits for any more */
export function createBackgroundWork(ended: () => void = () => undefined): BackgroundWork {
  const entries = new Map<ResourceId, Entry>();
  return {
    begin({ id, hash, since, until, act }) {
      const former = entries.get(id);
      if (former?.hash === hash) {
        former.isAwaited = true;
        return taken(id, former);
      }
      const record = former ? former.record.then(act) : act();
      const entry: Entry = { hash, since, until, record, hasEnded: false, isAwaited: true };
      entries.set(id, entry);
      const end = () => {
        entry.hasEnded = true;
        if (!entry.isAwaited) ended();
      };
      record.then(end, end);
      return taken(id, entry);
    },
    forgetOthers(ids) {
      for (const [id, { hasEnded }] of entries) if (hasEnded && !ids.has(id)) entries.delete(id);
    },
    leave(ids) {
      for (const id of ids) {
        const entry = entries.get(id);
        if (entry) entry.isAwaited = false;
      }
    },
    left: () =>
      [...entries]
        .filter(([, entry]) => !entry.hasEnded)
        .map(([id, { since, until }]) => ({ id, message: 'is still running', since, until })),
  };

  /** The first caller takes the result; a later request starts the work again. */
  async function taken(id: ResourceId, entry: Entry): Promise<ActionRecord | null> {
    const record = await entry.record;
    if (entry.isAwaited && entries.get(id) === entry) entries.delete(id);
    return record;
  }
}
