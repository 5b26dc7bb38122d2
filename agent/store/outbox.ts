/** Events on their way to the broker: written with the run, deleted when the broker acknowledged them. */
import { randomBytes } from 'node:crypto';
import type Database from 'better-sqlite3';
import type { AgentEvent } from '../core/types.ts';
import type { Meta } from './meta.ts';
import { lightly } from './without-fsync.ts';

export type EventDraft = Omit<AgentEvent, 'id' | 'seq'>;

export interface Outbox {
  /** To be called within the caller's transaction, and followed by `announce` once that is over. */
  push(events: readonly EventDraft[]): AgentEvent[];
  /** Tells those who watch. */
  announce(events: readonly AgentEvent[]): void;
  /** Hears of every event that is recorded from now on. @returns ends it */
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

/** @param max most events kept; beyond it the oldest give way to one `gap` event that counts them */
export function createOutbox(db: Database.Database, meta: Meta, max: number): Outbox {
  // Event ids must stay unique when a lost database begins to count from 1 again.
  const kept = meta.get<string>('outbox.epoch');
  const epoch = kept ?? randomBytes(6).toString('hex');
  if (kept === undefined) meta.set('outbox.epoch', epoch);
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
    push(events) {
      const stored = events.map((e): AgentEvent => {
        const seq = Number(insert.run(e.at, e.type, e.run, JSON.stringify(e.data)).lastInsertRowid);
        return { ...e, id: idOf(seq), seq };
      });
      if (events.length > 0) shrink();
      return stored;
    },
    announce(events) {
      for (const event of events) for (const tell of listeners) tell(event);
    },
    watch(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    peek: (limit, seq = 0) =>
      peek.all(seq, limit).map((raw) => ({ ...raw, id: idOf(raw.seq), data: JSON.parse(raw.data) })),
    ack(seq) {
      // Without an fsync: a power cut may bring it back, and its id and seq tell that it was said before. One fsync an
      // event would hold the whole agent up for seconds after a large change.
      lightly(db, () => remove.run(seq));
    },
    count: () => count.get()?.n ?? 0,
    lastSeq: () => last.get()?.seq ?? 0,
  };
}
