/** Events on their way to the broker: written with the run, deleted when the broker acknowledged them. */
import { randomBytes } from 'node:crypto';
import type Database from 'better-sqlite3';
import type { AgentEvent } from '../core/types.ts';
import { durabilityOf, type Facts, type FactValues } from './facts.ts';
import type { Meta } from './meta.ts';
import { mostUrgent, type Writer } from './writer.ts';

export type EventDraft = Omit<AgentEvent, 'id' | 'seq'>;

export interface Outbox {
  /**
   * One transaction, or a part of the one under way; whoever watches is told when that is over.
   * @param facts what is remembered of it, so that it is told neither twice nor never
   */
  push(events: readonly EventDraft[], facts?: Partial<FactValues>): void;
  /** Hears of every event that is recorded from now on, once its record is durable. @returns ends it */
  watch(listener: (event: AgentEvent) => void): () => void;
  /** The oldest first; only those after `seq`, where it is given. */
  peek(limit: number, seq?: number): AgentEvent[];
  /** It was said: survives the end of this process, and a power cut soon after. */
  ack(seq: number): void;
  count(): number;
  /** Of the newest event ever written; 0 before the first. */
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
  /** Most events kept; beyond it the oldest give way to one `gap` event that counts them. */
  max: number;
}

export function createOutbox({ db, meta, writer, facts, max }: OutboxOptions): Outbox {
  // Event ids must stay unique when a lost database begins to count from 1 again.
  const kept = meta.get('outbox.epoch') as string | undefined;
  const epoch = kept ?? randomBytes(6).toString('hex');
  if (kept === undefined) writer.write('now', () => meta.set('outbox.epoch', epoch));
  const insert = db.prepare('INSERT INTO outbox (at, type, run, data) VALUES (?, ?, ?, ?)');
  const peek = db.prepare<[number, number], Raw>(
    'SELECT seq, at, type, run, data FROM outbox WHERE seq > ? ORDER BY seq LIMIT ?',
  );
  const remove = db.prepare('DELETE FROM outbox WHERE seq = ?');
  const count = db.prepare<[], { n: number }>('SELECT count(*) AS n FROM outbox');
  const last = db.prepare<[], { seq: number }>("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'");
  const turnIntoGap = db.prepare("UPDATE outbox SET type = 'gap', run = NULL, data = ? WHERE seq = ?");

  /** Drops the oldest and lets the last of the dropped stand for all of them, so that `seq` has no silent hole. */
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
      // A power cut may bring it back, and its id and seq tell that it was said before. One fsync an event would hold the
      // whole agent up for seconds after a large change.
      writer.write('eventually', () => remove.run(seq));
    },
    count: () => count.get()?.n ?? 0,
    lastSeq: () => last.get()?.seq ?? 0,
  };
}
