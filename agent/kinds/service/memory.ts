/** Records about services that their containers do not show: which containers they had, and which completed. */
import type { ServiceSpec } from '../../compose/stack/model.ts';
import type { Desired, ResourceId } from '../../core/types.ts';
import type { Records } from '../../store/records.ts';
import type { Clock } from '../../system/clock.ts';
import { isCompleted, type Memory, type ServiceFact } from '../container/fact.ts';
import { HASH } from '../docker/labels.ts';

export interface ServiceMemory extends Memory {
  /** A run observed this fact; if `isRight`, nothing needs to be changed. */
  saw(want: Desired<ServiceSpec>, fact: ServiceFact, options: { isRight: boolean }): void;
  /** These containers are about to be changed for the service. */
  takes(id: ResourceId, fact: ServiceFact | undefined): void;
  /** The service was removed for good. */
  forget(id: ResourceId): void;
}

interface Kept {
  /** Ids of its containers. */
  containers?: readonly string[];
  /** Numbers of containers that ended by themselves, and the hash of their declaration. */
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
      // A full disk must not stop the care of running services: the next observation tries again.
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
      // A service that matches is about to be adopted.
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

/** Ids of containers without a label of fairlead; the others name their service themselves. */
const foreignIn = ({ replicas, parked }: ServiceFact): string[] =>
  [...replicas, ...parked].filter(({ info }) => info.Config.Labels?.[HASH] === undefined).map(({ info }) => info.Id);

/** Missing containers keep their recorded state; existing ones are judged as they are. */
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
