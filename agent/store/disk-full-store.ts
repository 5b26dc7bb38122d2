/**
 * The store of an agent whose disk may fill up. What a crash may cost (confirmations, records of runs, events) waits in
 * memory until there is room again, in order. What must be durable before anything is done about it (intents, commits,
 * holds) is refused, as AgentError `StateUnwritable`.
 */
import type { Trigger } from '../core/types.ts';
import type { Store } from './db.ts';
import type { FactName, Facts, FactValues } from './facts.ts';
import { isUnwritable, unwritable } from './unwritable.ts';

/** Most writes that wait; beyond it the oldest records are lost, and one `gap` event counts them. */
const MOST = 2_000;

interface Waiting {
  write(): void;
  /** It tells of something, as opposed to what the next look finds again. */
  isReport: boolean;
}

/** @param dir of the state, for errors */
export function createDiskFullStore(store: Store, dir: string): Store {
  let trouble: string | null = null;
  let waiting: Waiting[] = [];
  let lost = 0;
  /** Facts that are not on disk yet. */
  let unwritten: Partial<FactValues> = {};
  /** Runs that are not begun on disk. */
  const unbegun = new Set<number>();
  let lastRun = 0;

  function flush(): void {
    for (let job = waiting[0]; job; job = waiting[0]) {
      try {
        job.write();
      } catch (thrown) {
        // A bug must not stand in the way of all that comes after it.
        if (!isUnwritable(thrown)) waiting.shift();
        throw thrown;
      }
      waiting.shift();
    }
    if (Object.keys(unwritten).length > 0) store.facts.set(unwritten);
    unwritten = {};
    if (lost > 0) {
      const at = new Date().toISOString();
      const data = { count: lost, why: 'the disk was full' };
      store.outbox.push([{ at, type: 'gap', run: null, data }]);
    }
    lost = 0;
  }

  /** Writes after all that waits; where that is not possible, answers what `otherwise` does. */
  function write<T>(now: () => T, otherwise: (thrown: unknown) => T): T {
    try {
      flush();
      const answer = now();
      trouble = null;
      return answer;
    } catch (thrown) {
      if (!isUnwritable(thrown)) throw thrown;
      trouble = unwritable(dir, thrown).message;
      return otherwise(thrown);
    }
  }
  function defer(job: () => void, { isReport }: { isReport: boolean }): void {
    waiting.push({ write: job, isReport });
    if (waiting.length <= MOST) return;
    if (waiting[0]?.isReport) lost++;
    waiting = waiting.slice(1);
  }
  const strictly =
    <A extends unknown[], T>(act: (...args: A) => T) =>
    (...args: A): T =>
      write(
        () => act(...args),
        (thrown) => {
          throw unwritable(dir, thrown);
        },
      );
  const orInMemory =
    <A extends unknown[]>(act: (...args: A) => void) =>
    (...args: A): void => {
      const job = () => act(...args);
      write(job, () => defer(job, { isReport: false }));
    };
  /** What is remembered of a report that waits is known at once. */
  const report = (facts: Partial<FactValues>, job: () => void): void =>
    write(job, () => {
      defer(job, { isReport: true });
      unwritten = { ...unwritten, ...facts };
    });

  const facts: Facts = {
    get: <Name extends FactName>(name: Name) => (name in unwritten ? unwritten[name] : store.facts.get(name)),
    set: (values) =>
      write(
        () => store.facts.set(values),
        () => {
          unwritten = { ...unwritten, ...values };
        },
      ),
  };
  const { inventory, images, runs, outbox, commits, declared, trust } = store;
  return {
    ...store,
    facts,
    // What waits in memory is nothing that anybody must know before: a trial that could not be written was refused.
    beforeActing() {
      try {
        store.beforeActing();
      } catch (thrown) {
        if (!isUnwritable(thrown)) throw thrown;
        const refusal = unwritable(dir, thrown);
        trouble = refusal.message;
        throw refusal;
      }
    },
    trouble: () => trouble ?? store.trouble(),
    commits: {
      ...commits,
      set: strictly(commits.set),
      beginTrial: strictly(commits.beginTrial),
      markBad: strictly(commits.markBad),
      forgive: strictly(commits.forgive),
    },
    declared: { ...declared, note: orInMemory(declared.note) },
    trust: { ...trust, accept: strictly(trust.accept) },
    inventory: {
      ...inventory,
      intend: strictly(inventory.intend),
      restore: strictly(inventory.restore),
      confirm: orInMemory(inventory.confirm),
      settle: orInMemory(inventory.settle),
      forget: orInMemory(inventory.forget),
      notifyDone: orInMemory(inventory.notifyDone),
    },
    images: {
      ...images,
      addPulled: orInMemory(images.addPulled),
      forget: orInMemory(images.forget),
      setAsked: orInMemory(images.setAsked),
    },
    runs: {
      ...runs,
      begin(trigger: Trigger, at: string) {
        const id = Math.max(lastRun, runs.lastId()) + 1;
        lastRun = id;
        return write(
          () => runs.begin(trigger, at, id),
          () => {
            unbegun.add(id);
            return id;
          },
        );
      },
      finish: (run, actions, events, facts = {}) =>
        report(facts, () => {
          if (unbegun.has(run.id)) runs.begin(run.trigger, run.startedAt, run.id);
          runs.finish(run, actions, events, facts);
          unbegun.delete(run.id);
        }),
    },
    outbox: {
      ...outbox,
      push: (events, facts = {}) => report(facts, () => outbox.push(events, facts)),
      ack: orInMemory(outbox.ack),
    },
    tend: (limits) =>
      write(
        () => store.tend(limits),
        () => false,
      ),
  };
}
