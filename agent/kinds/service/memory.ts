/** What is remembered of services and cannot be seen on their containers: which they were, and what has completed. */
import type { ServiceSpec } from '../../compose/stack/model.ts';
import type { Desired, ResourceId } from '../../core/types.ts';
import type { Records } from '../../store/records.ts';
import type { Clock } from '../../system/clock.ts';
import { isCompleted, type Memory, type ServiceFact } from '../container/fact.ts';
import { HASH } from '../docker/labels.ts';

export interface ServiceMemory extends Memory {
  /** A look found this, and nothing is to be done about it if `isRight`. */
  saw(want: Desired<ServiceSpec>, fact: ServiceFact, options: { isRight: boolean }): void;
  /** These containers are about to be changed for it. */
  takes(id: ResourceId, fact: ServiceFact | undefined): void;
  /** It is gone for good. */
  forget(id: ResourceId): void;
}

interface Kept {
  /** Ids. */
  containers?: readonly string[];
  /** Numbers of containers that came to their end by themselves, and the hash of the declaration under which they did. */
  completed?: { hash: string; numbers: readonly number[] };
}

export interface MemoryOptions {
  clock: Pick<Clock, 'monotonic'>;
  records: Records;
  owned(id: ResourceId): boolean;
}

export function createServiceMemory({ clock, records, owned }: MemoryOptions): ServiceMemory {
  const looks = new Map<ResourceId, { look: string; at: number }>();
  const keyOf = (id: ResourceId) => `containers ${id}`;
  const kept = (id: ResourceId) => (records.get(keyOf(id)) ?? {}) as Kept;
  const keep = (id: ResourceId, { containers = [], completed }: Kept) => {
    const isEmpty = containers.length === 0 && completed === undefined;
    try {
      records.set(keyOf(id), isEmpty ? undefined : { containers, ...(completed ? { completed } : {}) });
    } catch {
      // A full disk must not keep what runs from being looked after: the next look tries again.
    }
  };
  return {
    since(id, look) {
      const now = clock.monotonic();
      const before = looks.get(id);
      if (before?.look !== look) looks.set(id, { look, at: now });
      return before?.look === look ? now - before.at : 0;
    },
    isOwned: owned,
    containersOf: (id) => kept(id).containers ?? [],
    completedOf(id, hash) {
      const { completed } = kept(id);
      return completed && (hash === undefined || completed.hash === hash) ? completed.numbers : [];
    },
    saw(want, fact, { isRight }) {
      // What matches is about to be adopted.
      if (!owned(want.id) && !isRight) return;
      const before = kept(want.id);
      const completed = isRight ? completedIn(want, fact, before.completed) : before.completed;
      keep(want.id, { containers: foreignIn(fact), ...(completed ? { completed } : {}) });
    },
    takes: (id, fact) => fact && keep(id, { ...kept(id), containers: foreignIn(fact) }),
    forget(id) {
      looks.delete(id);
      keep(id, {});
    },
  };
}

/** Those that carry no label of ours: the others say themselves whose they are. */
const foreignIn = ({ replicas, parked }: ServiceFact): string[] =>
  [...replicas, ...parked].filter(({ info }) => info.Config.Labels?.[HASH] === undefined).map(({ info }) => info.Id);

/** What is missing now counts as it did before; what is there counts as it is. */
function completedIn(
  { spec, hash }: Desired<ServiceSpec>,
  fact: ServiceFact,
  before: Kept['completed'],
): Kept['completed'] {
  const there = new Set(fact.replicas.map((r) => r.number));
  const gone = before?.hash === hash ? before.numbers.filter((number) => !there.has(number)) : [];
  const done = fact.replicas.filter((r) => isCompleted(spec, r)).map((r) => r.number);
  const numbers = [...gone, ...done].sort((a, b) => a - b);
  return numbers.length > 0 ? { hash, numbers } : undefined;
}
