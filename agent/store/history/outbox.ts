/** Events that wait for the broker: written with the run, deleted when the broker has acknowledged them. */
import { randomBytes } from 'node:crypto';
import type Database from 'better-sqlite3';
import type { AgentEvent } from '../../core/types.ts';
import type { Meta } from '../disk/meta.ts';
import { mostUrgent, type Writer } from '../disk/writer.ts';
import { durabilityOf, type Facts, type FactValues } from '../facts.ts';

export type EventDraft = Omit<AgentEvent, 'id' | 'seq'>;

export interface Outbox {
  /**
   * One transaction, or a part of the current one; watchers are called when it is over.
   * @param facts stored together with the events, so that each is reported exactly once
   */
  push(events: readonly EventDraft[], facts?: Partial<FactValues>): void;
  /** Calls the listener for every new event, once its record is durable. @returns a function that ends it */
  watch(listener: (event: AgentEvent) => void): () => void;
  /** The oldest first; only those after `seq`, if it is given. */
  peek(limit: number, seq?: number): AgentEvent[];
  /** The event was delivered. The record survives the end of this process, but maybe not a power cut soon after. */
  ack(seq: number): void;
  count(): number;
  /** `seq` of the newest event ever written; 0 before the first. */
  lastSeq(): number;
}

interface Raw {
  seq: number;
  at: string;
  type: AgentEvent['type'];
  run: number | null;
  data: string;
}

export interface OutboxOptions {
  db: Database.Database;
  meta: Meta;
  writer: Writer;
  facts: Facts;
  /** Maximum number of events; beyond it the oldest are replaced by one `gap` event that counts them. */
  max: number;
}

/** Key of the value that keeps event ids unique when numbers are used again, for example after a lost database. */
export const EPOCH = 'outbox.epoch';

/** Makes future ids differ from all earlier ones; to be called within `Writer.write`, before the outbox is created. */
export const renewEpoch = (meta: Meta): void => meta.set(EPOCH, randomBytes(6).toString('hex'));

export function createOutbox({ db, meta, writer, facts, max }: OutboxOptions): Outbox {
  // Event ids must stay unique when a new database starts to count from 1 again.
  if (meta.get(EPOCH) === undefined) writer.write('now', () => renewEpoch(meta));
  const epoch = meta.get(EPOCH) as string;
  const insert = db.prepare('INSERT INTO outbox (at, type, run, data) VALUES (?, ?, ?, ?)');
  const peek = db.prepare<[number, number], Raw>(
    'SELECT seq, at, type, run, data FROM outbox WHERE seq > ? ORDER BY seq LIMIT ?',
  );
  const remove = db.prepare('DELETE FROM outbox WHERE seq = ?');
  const count = db.prepare<[], { n: number }>('SELECT count(*) AS n FROM outbox');
  const last = db.prepare<[], { seq: number }>("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'");
  const turnIntoGap = db.prepare("UPDATE outbox SET type = 'gap', run = NULL, data = ? WHERE seq = ?");

  /** Deletes the oldest events and turns the last of them into a `gap` event, so that `seq` has no silent gap. */
  const shrink = () => {
    const surplus = (count.get()?.n ?? 0) - max;
    if (surplus <= 0) return;
    const dropped = peek.all(0, surplus + 1);
    const lost = dropped.reduce(
      (sum, e) => sum + (e.type === 'gap' ? Number((JSON.parse(e.data) as { count: number }).count) : 1),
      0,
    );
    const from = dropped.map((e) => (e.type === 'gap' ? (JSON.parse(e.data) as { from: number }).from : e.seq))[0];
    const stands = dropped.at(-1);
    for (const e of dropped.slice(0, -1)) remove.run(e.seq);
    if (stands) turnIntoGap.run(JSON.stringify({ from, to: stands.seq, count: lost }), stands.seq);
  };
  const idOf = (seq: number) => `${epoch}-${seq}`;
  const listeners = new Set<(event: AgentEvent) => void>();
  return {
    push(events, remembered = {}) {
      if (events.length === 0 && Object.keys(remembered).length === 0) return;
      writer.write(mostUrgent([events.length > 0 ? 'now' : 'eventually', durabilityOf(remembered)]), () => {
        facts.set(remembered);
        if (events.length === 0) return;
        const stored = events.map((e): AgentEvent => {
          const seq = Number(insert.run(e.at, e.type, e.run, JSON.stringify(e.data)).lastInsertRowid);
          return { ...e, id: idOf(seq), seq };
        });
        shrink();
        writer.afterwards(() => {
          for (const event of stored) for (const tell of listeners) tell(event);
        });
      });
    },
    watch(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    peek: (limit, seq = 0) =>
      peek.all(seq, limit).map((raw) => ({ ...raw, id: idOf(raw.seq), data: JSON.parse(raw.data) })),
    ack(seq) {
      // After a power cut the event may be sent again; its id and seq show that. One fsync per event would block the whole
      // agent for seconds after a large change.
      writer.write('eventually', () => remove.run(seq));
    },
    count: () => count.get()?.n ?? 0,
    lastSeq: () => last.get()?.seq ?? 0,
  };
}
