/**
 * Work that only waits for something that runs by itself, such as a job or a oneshot. It outlives the run that began it: a later
 * run for the same declaration waits for it instead of beginning it again.
 */
import type { ActionRecord, ResourceId } from '../../core/types.ts';
import type { AsideWork, Run } from '../types.ts';

/** Something is awaited aside as soon as it has taken this long. */
export const ASIDE_MS = 2_000;

const LOOK_MS = 500;

/** Which of the steps under way only wait by now, and how a run waits for nothing but them. @param running by the id that they began with */
export function createWaiting(run: Run, running: ReadonlyMap<ResourceId, Promise<void>>) {
  const aside = new Set<ResourceId>();
  const timers = new Map<ResourceId, AbortController>();
  let turn = Promise.withResolvers<void>();
  return {
    begun(id: ResourceId) {
      const called = new AbortController();
      timers.set(id, called);
      void run.clock.sleep(ASIDE_MS, called.signal).then(() => {
        if (called.signal.aborted) return;
        aside.add(id);
        turn.resolve();
        turn = Promise.withResolvers<void>();
      });
    },
    ended(id: ResourceId) {
      timers.get(id)?.abort();
      aside.delete(id);
    },
    isAside: (id: ResourceId): boolean => aside.has(id),
    isAll: (): boolean => [...running.keys()].every((id) => aside.has(id)),
    /** Resolves when one more only waits. */
    turned: (): Promise<void> => turn.promise,
    /** One look: repairs go on meanwhile. @returns false if the run is to end without what it waits for */
    async goesOn(): Promise<boolean> {
      if (run.io.hasNext()) return false;
      const waiting = run.aside.left().filter(({ id }) => aside.has(id as ResourceId));
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
  /** A run waits for it: it need not be reported to anybody else. */
  isAwaited: boolean;
}

/** @param ended called if something ends that no run waits for any more */
export function createAside(ended: () => void = () => undefined): AsideWork {
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

  /** Whoever has the answer has it alone: what comes later is begun again. */
  async function taken(id: ResourceId, entry: Entry): Promise<ActionRecord | null> {
    const record = await entry.record;
    if (entry.isAwaited && entries.get(id) === entry) entries.delete(id);
    return record;
  }
}
