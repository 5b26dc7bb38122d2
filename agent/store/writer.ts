/**
 * The one place that decides what survives a power cut, and when. Everything that is written survives the end of the
 * process, since the kernel has it; a power cut takes what was not followed by an fsync of the log on the side (WAL).
 */
import type Database from 'better-sqlite3';

/**
 * How soon a write survives a power cut. Each write of the store has one of these, chosen where it is made, by what its
 * loss would cost. Whatever is durable makes durable all that was written before it.
 *
 * - `now`: before the call returns, by an fsync. What is intended, decided or told.
 * - `before-acting`: before anything on the host is changed because of it: by the intents, which are `now`, or by
 *   `Writer.beforeActing`. It costs no fsync of its own.
 * - `eventually`: with the next write that is durable. What the next look at the host finds again, or what is only said twice.
 */
export type Durability = 'now' | 'before-acting' | 'eventually';

const RANK: Record<Durability, number> = { eventually: 0, 'before-acting': 1, now: 2 };

/** @returns the most urgent one */
export const mostUrgent = (all: readonly Durability[]): Durability =>
  all.reduce((a, b) => (RANK[a] >= RANK[b] ? a : b), 'eventually');

/** What can wait in memory: it costs nothing to lose, and is written with whatever is written next. */
export interface Deferred {
  waits(): boolean;
  /** Called within the next transaction, before all else of it. */
  write(): void;
  /** That transaction is over. */
  written(): void;
}

export interface Writer {
  /** To be called once for each kind of thing that can wait. */
  defer(deferred: Deferred): void;
  /** Writes what waits, if anything does. */
  settle(): void;
  /**
   * One transaction, or a part of the one under way. Throws what `act` throws, and then nothing of it was written.
   * A part must not be more urgent than the whole: that is a bug, and is thrown as one.
   */
  write<T>(durability: Durability, act: () => T): T;
  /** To be called within `write`: done when the transaction is over, and not if it came to nothing. */
  afterwards(act: () => void): void;
  /** Makes durable what must be so before the host is changed; costs nothing where there is no such thing. */
  beforeActing(): void;
  /** Makes durable all that is not so yet; costs nothing where there is no such thing. */
  flush(): void;
}

interface Transaction {
  durability: Durability;
  afterwards: (() => void)[];
}

export function createWriter(db: Database.Database): Writer {
  // A value that changes with each write: SQLite leaves a page alone to which the same is written again, and then there
  // would be nothing to sync, although what was written before is not durable yet.
  const stir = db.prepare(
    "INSERT INTO meta (key, value) VALUES ('writes', '1') ON CONFLICT (key) DO UPDATE SET value = value + 1",
  );
  const transaction = db.transaction((act: () => unknown) => act());
  /** The most urgent of what is written and not durable. */
  let pending: Durability | null = null;
  let open: Transaction | null = null;
  const deferred: Deferred[] = [];
  const waiting = () => deferred.filter((d) => d.waits());

  function write<T>(durability: Durability, act: () => T): T {
    if (open !== null) {
      if (RANK[durability] > RANK[open.durability])
        throw new Error(`a write that is durable \`${durability}\` within one that is durable \`${open.durability}\``);
      return act();
    }
    const mine: Transaction = { durability, afterwards: [] };
    open = mine;
    // FULL syncs the log at each commit, NORMAL does not (sqlite.org/pragma.html#pragma_synchronous); it cannot be
    // changed within a transaction.
    if (durability !== 'now') db.pragma('synchronous = NORMAL');
    const waited = waiting();
    let answer: T;
    try {
      answer = transaction(() => {
        if (durability === 'now' && pending !== null) stir.run();
        for (const one of waited) one.write();
        return act();
      }) as T;
    } finally {
      open = null;
      if (durability !== 'now') db.pragma('synchronous = FULL');
    }
    pending = durability === 'now' ? null : mostUrgent([durability, pending ?? 'eventually']);
    for (const one of waited) one.written();
    for (const then of mine.afterwards) then();
    return answer;
  }

  function flush(): void {
    if (pending !== null || waiting().length > 0) write('now', () => undefined);
  }

  return {
    defer: (one) => void deferred.push(one),
    settle() {
      if (open === null && waiting().length > 0) write('eventually', () => undefined);
    },
    write,
    afterwards(act) {
      if (open === null) act();
      else open.afterwards.push(act);
    },
    beforeActing() {
      if (pending === 'before-acting') flush();
    },
    flush,
  };
}
