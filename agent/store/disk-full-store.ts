/**
 * The store of an agent whose disk may fill up. Writes that a crash may lose (confirmations, records of runs, events) wait in
 * memory, in order, until there is room again. Writes that must be durable before anything is done about them (intents,
 * commits, holds) are refused with AgentError `StateUnwritable`.
 */
import type { Trigger } from '../core/types.ts';
import type { Store } from './db.ts';
import { isUnwritable, unwritable } from './disk/unwritable.ts';
import type { FactName, Facts, FactValues } from './facts.ts';

/** Maximum number of waiting writes; beyond it the oldest records are lost, and one `gap` event counts them. */
const MOST = 2_000;

interface Waiting {
  write(): void;
  /** It is a report, and not something that the next observation finds again. */
  isReport: boolean;
}

/** @param dir of the state, for errors */
export function createDiskFullStore(store: Store, dir: string): Store {
  let trouble: string | null = null;
  let waiting: Waiting[] = [];
  let lost = 0;
  /** Facts that are not on disk yet. */
  let unwritten: Partial<FactValues> = {};
  /** Runs whose start is not on disk yet. */
  const unbegun = new Set<number>();
  let lastRun = 0;

  function flush(): void {
    for (let job = waiting[0]; job; job = waiting[0]) {
      try {
        job.write();
      } catch (thrown) {
        // A bug must not block all later writes.
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

  /** Writes after everything that waits; if that is not possible, returns the result of `otherwise`. */
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
  /** The facts of a report that waits take effect at once. */
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
  const { inventory, images, runs, outbox, commits, commands, declared, trust } = store;
  return {
    ...store,
    facts,
    // Nothing that waits in memory must be durable before an action: a trial that could not be written was refused.
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
    commands: {
      ...commands,
      begin: strictly(commands.begin),
      finish: strictly(commands.finish),
      told: orInMemory(commands.told),
      sweep: strictly(commands.sweep),
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
