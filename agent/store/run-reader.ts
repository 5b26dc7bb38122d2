/** Questions to the history, of the agent and of a command line whose agent is down: runs, and what each did. */
import type Database from 'better-sqlite3';
import type { HistoryQuery } from '../core/progress.ts';
import type { ActionRecord, ResourceId, RunRecord, Trigger } from '../core/types.ts';

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

/** The newest run is asked for at each start: that question is prepared once. */
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
