/**
 * The only place that decides when a write survives a power cut. Every write survives the end of the process, because the
 * kernel has it; a power cut loses writes that no fsync of the write-ahead log (WAL) followed.
 */
import type Database from 'better-sqlite3';

/**
 * How soon a write survives a power cut. The caller chooses by the cost of a loss. A durable write also makes all earlier writes
 * durable.
 *
 * - `now`: before the call returns, by an fsync. For intents, decisions and reports.
 * - `before-acting`: before anything on the host is changed because of it: by the intents, which are `now`, or by
 *   `Writer.beforeActing`. It costs no additional fsync.
 * - `eventually`: with the next durable write. For what the next observation finds again, or what may be reported twice.
 */
export type Durability = 'now' | 'before-acting' | 'eventually';

const RANK: Record<Durability, number> = { eventually: 0, 'before-acting': 1, now: 2 };

/** @returns the most urgent one */
export const mostUrgent = (all: readonly Durability[]): Durability =>
  all.reduce((a, b) => (RANK[a] >= RANK[b] ? a : b), 'eventually');

/** Something that may wait in memory, because its loss costs nothing; it is written with the next other write. */
export interface Deferred {
  waits(): boolean;
  /** Called within the next transaction, before everything else in it. */
  write(): void;
  /** Called when that transaction is over. */
  written(): void;
}

export interface Writer {
  /** To be called once for each deferred part. */
  defer(deferred: Deferred): void;
  /** Writes what waits, if there is something. */
  settle(): void;
  /**
   * One transaction, or a part of the current one. Throws what `act` throws, and then nothing of it was written. A part must
   * not be more urgent than the whole: that is a bug, and throws.
   */
  write<T>(durability: Durability, act: () => T): T;
  /** To be called within `write`: `act` runs when the transaction has succeeded. */
  afterwards(act: () => void): void;
  /** Makes durable what must be durable before the host is changed; costs nothing if there is nothing. */
  beforeActing(): void;
  /** Makes everything durable; costs nothing if there is nothing to do. */
  flush(): void;
}

interface Transaction {
  durability: Durability;
  afterwards: (() => void)[];
}

export function createWriter(db: Database.Database): Writer {
  // A value that changes with each write. SQLite does not write a page whose content is unchanged, and then there would be
  // nothing to sync, although earlier writes are not durable yet.
  const stir = db.prepare(
    "INSERT INTO meta (key, value) VALUES ('writes', '1') ON CONFLICT (key) DO UPDATE SET value = value + 1",
  );
  const transaction = db.transaction((act: () => unknown) => act());
  /** The most urgent durability among writes that are not durable yet. */
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
