/**
 * Commands from the broker: each id is recorded before the command is carried out, and kept until it expires, so that a
 * repeated command is carried out once, even across a crash.
 */
import type Database from 'better-sqlite3';
import type { CommandDocument, CommandResult } from '../../manifests-schema/commands.ts';
import type { ReplyTo } from '../core/channel.ts';
import type { Meta } from './disk/meta.ts';
import type { Writer } from './disk/writer.ts';

export interface KeptCommand {
  command: CommandDocument;
  reply: ReplyTo;
  /** null: it was begun, and its result is unknown. */
  result: CommandResult | null;
  /** The answer was deleted to save room. */
  isShed: boolean;
}

export interface Commands {
  find(id: string): KeptCommand | null;
  count(): number;
  /** Durable when it returns. Throws if the record cannot be written; then the command must not be carried out. */
  begin(command: CommandDocument, reply: ReplyTo): void;
  /** Durable when it returns: a repeated command gets the same answer. */
  finish(id: string, result: CommandResult): void;
  /** The far end has received the answer. */
  told(id: string): void;
  /** Commands without a result, and those whose answer was not delivered yet. */
  open(): KeptCommand[];
  /** Deletes commands that expired before `now` (ms), and surplus answers. */
  sweep(now: number): void;
  /** The newest records are lost: a command that expires before `until` (ms) may have been carried out already. */
  lost(until: number): void;
  /** The latest `expires` of all deleted commands, ms. */
  forgotten(): number;
}

export const COMMANDS_TABLE = `CREATE TABLE commands (
     id TEXT PRIMARY KEY, expires INTEGER NOT NULL, command TEXT NOT NULL, reply TEXT NOT NULL, result TEXT,
     shed INTEGER NOT NULL DEFAULT 0, told INTEGER NOT NULL DEFAULT 0
   ) WITHOUT ROWID;
   ALTER TABLE runs ADD COLUMN command TEXT;`;

/** Limit for the answers that are kept for repeated commands, in bytes. */
const MAX_ANSWER_BYTES = 1024 * 1024;
const FORGOTTEN = 'commands.forgotten';

interface Raw {
  command: string;
  reply: string;
  result: string | null;
  shed: number;
}

export function createCommands(db: Database.Database, meta: Meta, writer: Writer): Commands {
  const columns = 'command, reply, result, shed';
  // Prepared on first use, because most hosts follow no commands.
  const find = () => db.prepare<[string], Raw>(`SELECT ${columns} FROM commands WHERE id = ?`);
  const parse = ({ command, reply, result, shed }: Raw): KeptCommand => ({
    command: JSON.parse(command),
    reply: JSON.parse(reply),
    result: result === null ? null : JSON.parse(result),
    isShed: shed !== 0,
  });
  const forgotten = () => (meta.get(FORGOTTEN) as number | undefined) ?? 0;
  const forget = (until: number) => meta.set(FORGOTTEN, Math.max(until, forgotten()));
  /** Ids of the answers that exceed the limit; the newest answers are kept. */
  const tooMany = (now: number): string[] => {
    let bytes = 0;
    return db
      .prepare<[number], { id: string; bytes: number }>(
        'SELECT id, length(result) AS bytes FROM commands WHERE result IS NOT NULL AND expires > ? ORDER BY expires DESC',
      )
      .all(now)
      .filter((row) => {
        bytes += row.bytes;
        return bytes > MAX_ANSWER_BYTES;
      })
      .map(({ id }) => id);
  };
  return {
    find(id) {
      const raw = find().get(id);
      return raw ? parse(raw) : null;
    },
    count: () => db.prepare<[], { n: number }>('SELECT count(*) AS n FROM commands').get()?.n ?? 0,
    begin(command, reply) {
      const values = [command.id, Date.parse(command.expires), JSON.stringify(command), JSON.stringify(reply)];
      writer.write('now', () => {
        db.prepare('INSERT INTO commands (id, expires, command, reply) VALUES (?, ?, ?, ?)').run(...values);
      });
    },
    finish(id, result) {
      writer.write('now', () => {
        db.prepare('UPDATE commands SET result = ? WHERE id = ?').run(JSON.stringify(result), id);
      });
    },
    told(id) {
      // After a power cut the answer is sent again.
      writer.write('eventually', () => {
        db.prepare('UPDATE commands SET told = 1 WHERE id = ?').run(id);
      });
    },
    open: () =>
      db
        .prepare<[], Raw>(`SELECT ${columns} FROM commands WHERE shed = 0 AND (result IS NULL OR told = 0) ORDER BY id`)
        .all()
        .map(parse),
    sweep(now) {
      const ended = 'expires <= ? AND (result IS NOT NULL OR shed = 1)';
      const { at } = db
        .prepare<[number], { at: number | null }>(`SELECT max(expires) AS at FROM commands WHERE ${ended}`)
        .get(now) ?? { at: null };
      const shed = tooMany(now);
      if (at === null && shed.length === 0) return;
      writer.write('now', () => {
        // One transaction: an id that was deleted without this time could be carried out again.
        if (at !== null) forget(at);
        db.prepare(`DELETE FROM commands WHERE ${ended}`).run(now);
        for (const id of shed) db.prepare('UPDATE commands SET result = NULL, shed = 1 WHERE id = ?').run(id);
      });
    },
    lost: (until) => writer.write('now', () => forget(until)),
    forgotten,
  };
}
