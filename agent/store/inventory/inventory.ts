/**
 * The resources that fairlead created or adopted, and the restarts that are still due. Written before an action, deleted after
 * a confirmed removal.
 */
import type Database from 'better-sqlite3';
import type { Mark, Origin, RefreshVerb, ResourceId } from '../../core/types.ts';
import type { Durability, Writer } from '../disk/writer.ts';

export interface InventoryRow extends Mark {
  id: ResourceId;
  /** False if only the state of something foreign is declared: the thing itself must stay. */
  owned: boolean;
  origin: Origin;
  info: Record<string, unknown>;
}

export interface Notify {
  target: ResourceId;
  source: ResourceId;
  /** Default restart. */
  verb?: RefreshVerb;
}

export interface Intent {
  id: ResourceId;
  hash: string;
  owned: boolean;
  origin: Origin;
  info: Record<string, unknown>;
}

/** A resource that matches its declaration. */
export interface Settled {
  id: ResourceId;
  hash: string;
  /** The restart that it owed is done. */
  notified: boolean;
  /** The next observation finds the same, so losing the record in a crash repeats no action. */
  reobservable: boolean;
}

export interface Inventory {
  /** Sorted by id. */
  list(): readonly InventoryRow[];
  /** The rows by id, in no order; a new map after each change. */
  index(): ReadonlyMap<ResourceId, InventoryRow>;
  owned(id: ResourceId): boolean;
  /** One transaction, durable: the coming actions, and the restarts that will follow from them. */
  intend(rows: readonly Intent[], notifies: readonly Notify[]): void;
  /**
   * Resolves when the copy beside the database contains the intents as well. The copy is written during the work that follows
   * an intent, and awaited at its end. A full disk is not awaited: `Store.trouble` reports it.
   */
  copied(): Promise<void>;
  confirm(id: ResourceId, hash: string): void;
  /** One transaction: these resources match their declarations. */
  settle(rows: readonly Settled[]): void;
  /** One transaction. */
  forget(ids: readonly ResourceId[]): void;
  pendingNotifies(): Notify[];
  notifyDone(target: ResourceId): void;
  /** Restores rows from a copy; never overwrites an existing row. */
  restore(rows: readonly InventoryRow[]): void;
}

/** The rows in the database alone. */
export type InventoryRows = Omit<Inventory, 'copied'>;

interface Raw {
  id: ResourceId;
  intent: string;
  hash: string | null;
  owned: number;
  origin: string;
  info: string;
}

export function createInventory(db: Database.Database, writer: Writer): InventoryRows {
  const list = db.prepare<[], Raw>('SELECT id, intent, hash, owned, origin, info FROM inventory ORDER BY id');
  const owned = db.prepare<[string], { owned: number }>('SELECT owned FROM inventory WHERE id = ?');
  const intend = db.prepare(
    `INSERT INTO inventory (id, intent, hash, owned, origin, info) VALUES (?, ?, NULL, ?, ?, ?)
     ON CONFLICT (id) DO UPDATE SET intent = excluded.intent, owned = max(owned, excluded.owned), origin = excluded.origin, info = excluded.info`,
  );
  const restore = db.prepare(
    'INSERT OR IGNORE INTO inventory (id, intent, hash, owned, origin, info) VALUES (?, ?, ?, ?, ?, ?)',
  );
  // Former claims (`was`) are released only now. Few rows have some, and this test is cheaper than parsing.
  const confirm = db.prepare(
    `UPDATE inventory SET hash = ?, info = CASE WHEN instr(info, '"was":') THEN json_remove(info, '$.was') ELSE info END
     WHERE id = ?`,
  );
  const forget = db.prepare('DELETE FROM inventory WHERE id = ?');
  const notifies = db.prepare<[], Notify>('SELECT target, source, verb FROM notifies ORDER BY target, source');
  const notify = db.prepare('INSERT OR REPLACE INTO notifies (target, source, verb) VALUES (?, ?, ?)');
  const anyNotify = db.prepare('SELECT 1 FROM notifies LIMIT 1');
  const notifyDone = db.prepare('DELETE FROM notifies WHERE target = ?');
  /** Rows as last read or written; nobody else writes them. Maps that were returned earlier never change. */
  let rows: ReadonlyMap<ResourceId, InventoryRow> | null = null;
  const parse = (raw: Raw): InventoryRow => ({
    ...raw,
    owned: raw.owned === 1,
    origin: JSON.parse(raw.origin),
    info: JSON.parse(raw.info),
  });
  /** @param after returns the rows after the write; without it they are read again */
  const writes =
    <A extends unknown[]>(
      durability: Durability | ((...args: A) => Durability),
      write: (...args: A) => void,
      after?: (rows: Map<ResourceId, InventoryRow>, ...args: A) => void,
    ) =>
    (...args: A) => {
      const before = rows;
      // If the write fails, the rows are read from the database again.
      rows = null;
      writer.write(typeof durability === 'function' ? durability(...args) : durability, () => {
        write(...args);
        if (before === null || after === undefined) return;
        const now = new Map(before);
        after(now, ...args);
        writer.afterwards(() => {
          rows = now;
        });
      });
    };
  const index = () => {
    rows ??= new Map(list.all().map((raw) => [raw.id, parse(raw)]));
    return rows;
  };
  return {
    list: () => [...index().values()].sort((a, b) => (a.id < b.id ? -1 : 1)),
    index,
    owned: (id) => owned.get(id)?.owned === 1,
    intend: writes(
      'now',
      (intents: readonly Intent[], pending: readonly Notify[]) => {
        for (const r of intents)
          intend.run(r.id, r.hash, Number(r.owned), JSON.stringify(r.origin), JSON.stringify(r.info));
        for (const n of pending) notify.run(n.target, n.source, n.verb ?? 'restart');
      },
      (now, intents) => {
        for (const { id, hash: intent, owned, origin, info } of intents) {
          const before = now.get(id);
          // In the form in which it is read: undefined values are not stored.
          const written: InventoryRow['info'] = JSON.parse(JSON.stringify(info));
          const was = { hash: before?.hash ?? null, owned: owned || (before?.owned ?? false) };
          now.set(id, { id, intent, ...was, origin: { ...origin }, info: written });
        }
      },
    ),
    settle: writes(
      // Restarts and jobs are worth an fsync, because a power cut must not repeat them.
      (settled: readonly Settled[]) => (settled.every((r) => r.reobservable) ? 'eventually' : 'now'),
      (settled: readonly Settled[]) => {
        const owes = anyNotify.get() !== undefined;
        for (const r of settled) {
          confirm.run(r.hash, r.id);
          if (r.notified && owes) notifyDone.run(r.id);
        }
      },
      (now, settled) => {
        for (const { id, hash } of settled) confirmed(now, id, hash);
      },
    ),
    confirm: writes('now', (id: ResourceId, hash: string) => void confirm.run(hash, id), confirmed),
    forget: writes(
      'now',
      (ids: readonly ResourceId[]) => {
        for (const id of ids) {
          forget.run(id);
          notifyDone.run(id);
        }
      },
      (now, ids) => {
        for (const id of ids) now.delete(id);
      },
    ),
    pendingNotifies: () => notifies.all(),
    notifyDone: (target) => writer.write('now', () => void notifyDone.run(target)),
    restore: writes('now', (copied: readonly InventoryRow[]) => {
      for (const r of copied)
        restore.run(r.id, r.intent, r.hash, Number(r.owned), JSON.stringify(r.origin), JSON.stringify(r.info));
    }),
  };
}

function confirmed(now: Map<ResourceId, InventoryRow>, id: ResourceId, hash: string): void {
  const row = now.get(id);
  if (row === undefined) return;
  const { was: _, ...info } = row.info;
  now.set(id, { ...row, hash, info });
}
