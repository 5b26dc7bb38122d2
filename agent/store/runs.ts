/**
 * Runs and what each did. Of runs in a row that found nothing to do, the first and the last are kept, and the last says for
 * which it stands; one that a person asked for stays.
 */
import type Database from 'better-sqlite3';
import type { ReasonCode } from '../../manifests-schema/reasons.ts';
import type { HistoryQuery } from '../core/progress.ts';
import type { ActionRecord, ResourceId, RunRecord, Trigger } from '../core/types.ts';
import { durabilityOf, type FactValues } from './facts.ts';
import type { EventDraft, Outbox } from './outbox.ts';
import { mostUrgent, type Writer } from './writer.ts';

export interface RunReader {
  /** Newest first; runs under way are left out. */
  list(query: HistoryQuery): RunRecord[];
  /**
   * The same of a slice of the history alone, however much of it there is.
   * @param before only runs older than this one; null from the newest on
   * @returns `next`: where the next slice begins; null where there is none
   */
  slice(query: HistoryQuery, before: number | null): { runs: RunRecord[]; next: number | null };
  /** Of a run that another one stands for, that one; a run under way is `progressing`. */
  get(id: number): { run: RunRecord; actions: ActionRecord[] } | null;
  /** Newest first. */
  actionsOf(resource: ResourceId, limit: number): { run: number; at: string; action: ActionRecord }[];
  /** Ids of all resources that runs acted on. */
  resources(): string[];
}

export interface Runs extends RunReader {
  /** @param id one above all others; given by the store where it is left out @returns the run's id; ids only grow */
  begin(trigger: Trigger, at: string, id?: number): number;
  /** The run under way threw: it has ended all the same. Throws where that cannot be written. */
  breakOff(reason: ReasonCode, message: string): void;
  /** Of the newest run ever begun; 0 before the first. */
  lastId(): number;
  /** One transaction: the run, its actions, its events, and what is remembered of them. */
  finish(
    run: RunRecord,
    actions: readonly ActionRecord[],
    events: readonly EventDraft[],
    facts?: Partial<FactValues>,
  ): void;
}

interface Raw {
  id: number;
  trigger: Trigger;
  started_at: string;
  duration_ms: number;
  /** null while the run is under way. */
  sync: RunRecord['sync'] | null;
  reason: RunRecord['reason'];
  message: string;
  commit_info: string | null;
  changed: number;
  failed: number;
  repaired: number;
  quiet_from?: number | null;
}

export function createRunReader(db: Database.Database): RunReader {
  const get = db.prepare<[number], Raw>('SELECT * FROM runs WHERE id = ?');
  const actions = db.prepare<[number], { record: string }>('SELECT record FROM actions WHERE run = ? ORDER BY rowid');
  const actionsOf = db.prepare<[string, number], { run: number; at: string; record: string }>(
    'SELECT run, started_at AS at, record FROM actions JOIN runs ON runs.id = run WHERE resource = ? ORDER BY run DESC LIMIT ?',
  );
  const select = createSelect(db);
  const edge = db.prepare<[number, number], { lowest: number | null; n: number }>(
    'SELECT min(id) AS lowest, count(*) AS n FROM (SELECT id FROM runs WHERE id < ? ORDER BY id DESC LIMIT ?)',
  );
  // Prepared when it is asked for: a database that an older version wrote has no such column.
  const standsFor = (id: number): Raw | undefined =>
    db
      .prepare<[number, number], Raw>('SELECT * FROM runs WHERE quiet_from <= ? AND id > ? ORDER BY id LIMIT 1')
      .get(id, id);
  const resources = db.prepare<[], { resource: string }>('SELECT DISTINCT resource FROM actions');
  return {
    resources: () => resources.all().map(({ resource }) => resource),
    list: (query) => select(query).map(parse),
    slice(query, before) {
      const { lowest, n } = edge.get(before ?? Number.MAX_SAFE_INTEGER, SLICE) ?? { lowest: null, n: 0 };
      if (lowest === null) return { runs: [], next: null };
      const { where, values } = conditionsOf({ ...query, ...(before === null ? {} : { before }) });
      const found = db.prepare<unknown[], Raw>(
        `SELECT * FROM runs WHERE id >= ? AND ${where.join(' AND ')} ORDER BY id DESC LIMIT ?`,
      );
      return {
        runs: found.all(lowest, ...values, query.limit ?? SLICE).map(parse),
        next: n < SLICE ? null : lowest,
      };
    },
    get(id) {
      const raw = get.get(id) ?? standsFor(id);
      if (raw === undefined) return null;
      return { run: parse(raw), actions: actions.all(raw.id).map((a) => JSON.parse(a.record) as ActionRecord) };
    },
    actionsOf: (resource, limit) =>
      actionsOf
        .all(resource, limit)
        .map(({ run, at, record }) => ({ run, at, action: JSON.parse(record) as ActionRecord })),
  };
}

export function createRuns(db: Database.Database, writer: Writer, outbox: Outbox): Runs {
  // Whatever was under way when the last process ended has not been finished by anyone.
  const interrupt = db.prepare("UPDATE runs SET sync = 'failed', reason = ?, message = ? WHERE sync IS NULL");
  const breakOff: Runs['breakOff'] = (reason, message) =>
    writer.write('eventually', () => void interrupt.run(reason, message));
  breakOff('Interrupted', 'the agent ended during this run');
  const begin = db.prepare('INSERT OR IGNORE INTO runs (id, trigger, started_at) VALUES (?, ?, ?)');
  const last = db.prepare<[], { seq: number }>("SELECT seq FROM sqlite_sequence WHERE name = 'runs'");
  const lastId = () => last.get()?.seq ?? 0;
  const finish = db.prepare(
    `UPDATE runs SET duration_ms = @durationMs, sync = @sync, reason = @reason, message = @message, commit_id = @commitId,
     commit_info = @commitInfo, changed = @changed, failed = @failed, repaired = @repaired WHERE id = @id`,
  );
  const addAction = db.prepare('INSERT INTO actions (run, resource, record) VALUES (?, ?, ?)');
  // The first quiet run after a change stays (it says when all was well), the newest stays, those between go.
  const quiet = (run: string) =>
    `${run}.changed + ${run}.failed = 0 AND ${run}.sync = @sync AND ${run}.commit_id IS @commitId AND ${run}.reason = @reason
       AND NOT EXISTS (SELECT 1 FROM actions WHERE run = ${run}.id)`;
  const dropQuiet = db.prepare<unknown[], { id: number; quiet_from: number | null }>(
    `DELETE FROM runs WHERE id = (SELECT max(id) FROM runs WHERE id < @id) AND trigger <> 'manual' AND ${quiet('runs')} AND EXISTS (
       SELECT 1 FROM runs AS before WHERE before.id = (SELECT max(id) FROM runs AS r WHERE r.id < runs.id) AND ${quiet('before')})
     RETURNING id, quiet_from`,
  );
  const standFor = db.prepare('UPDATE runs SET quiet_from = ? WHERE id = ?');
  // What was still under way when a run ended, because another one took its place, is judged by that one.
  const conclude = db.prepare(
    `UPDATE runs SET sync = CASE WHEN commit_id IS @commitId THEN @sync ELSE 'unknown' END,
       reason = CASE WHEN commit_id IS @commitId THEN @reason ELSE 'Stopped' END, message = @message
     WHERE sync = 'progressing' AND id < @id`,
  );
  const record: Runs['finish'] = (run, done, events, facts) => {
    const commitId = run.commit?.commit ?? null;
    finish.run({ ...run, commitId, commitInfo: run.commit && JSON.stringify(run.commit) });
    for (const action of done) addAction.run(run.id, action.id, JSON.stringify(action));
    if (done.length === 0 && run.failed === 0 && run.trigger !== 'manual') {
      const dropped = dropQuiet.get({ id: run.id, sync: run.sync, commitId, reason: run.reason });
      if (dropped) standFor.run(dropped.quiet_from ?? dropped.id, run.id);
    }
    if (run.sync !== 'progressing') conclude.run({ id: run.id, sync: run.sync, commitId, ...verdictOn(run) });
    outbox.push(events, facts);
  };
  return {
    ...createRunReader(db),
    begin(trigger, at, id = lastId() + 1) {
      // It becomes durable with the first thing that this run intends or tells: one that does neither leaves no trace elsewhere.
      writer.write('eventually', () => begin.run(id, trigger, at));
      return id;
    },
    breakOff,
    lastId,
    finish(run, done, events, facts = {}) {
      // Without news it costs nothing to lose: the next run finds the same.
      const news = done.length + events.length > 0 ? 'now' : 'eventually';
      writer.write(mostUrgent([news, durabilityOf(facts)]), () => record(run, done, events, facts));
    },
  };
}

/** What an earlier run that was not brought to its end is said to have come to. */
const verdictOn = ({ id, reason, message, commit }: RunRecord): { reason: string; message: string } => ({
  reason,
  message: `it was brought to its end by run #${id}${commit ? `, for commit ${commit.commit.slice(0, 7)}` : ''}${message ? `: ${message}` : ''}`,
});

/** Every run asks for the one before it: that question is prepared once. */
function createSelect(db: Database.Database): (query: HistoryQuery) => Raw[] {
  const prepare = (conditions: readonly string[]) =>
    db.prepare<unknown[], Raw>(`SELECT * FROM runs WHERE ${conditions.join(' AND ')} ORDER BY id DESC LIMIT ?`);
  const newest = prepare(FINISHED);
  return (query) => {
    const { where, values } = conditionsOf(query);
    return (where.length === FINISHED.length ? newest : prepare(where)).all(...values, query.limit ?? 50);
  };
}

const FINISHED = ['sync IS NOT NULL'];
/** Runs that are looked through at a time: some tens of milliseconds, however long they are. */
const SLICE = 200;

function conditionsOf(query: HistoryQuery): { where: string[]; values: unknown[] } {
  const where = [...FINISHED];
  const values: unknown[] = [];
  const add = (sql: string, ...given: unknown[]) => {
    where.push(sql);
    values.push(...given);
  };
  if (query.since) add('started_at >= ?', query.since);
  // Also those that came with a newer one, all at once.
  if (query.commit)
    add(
      `(commit_id >= ? AND commit_id < ? || '~' OR instr(commit_info, '"commit":"' || ?) > 0)`,
      ...[query.commit, query.commit, query.commit],
    );
  if (query.before !== undefined) add('id < ?', query.before);
  if (query.failed) add("(failed > 0 OR sync IN ('failed', 'rolled-back'))");
  if (query.resource) add('EXISTS (SELECT 1 FROM actions WHERE run = runs.id AND resource = ?)', query.resource);
  return { where, values };
}

const parse = (raw: Raw): RunRecord => ({
  id: raw.id,
  trigger: raw.trigger,
  startedAt: raw.started_at,
  durationMs: raw.duration_ms,
  sync: raw.sync ?? 'progressing',
  reason: raw.reason,
  message: raw.message,
  commit: raw.commit_info === null ? null : JSON.parse(raw.commit_info),
  changed: raw.changed,
  failed: raw.failed,
  repaired: raw.repaired,
  ...(raw.quiet_from ? { quietFrom: raw.quiet_from } : {}),
});
