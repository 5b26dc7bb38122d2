/** Queries of the history, for the agent, and for the command line if the agent is down: runs, and their actions. */
import type Database from 'better-sqlite3';
import type { HistoryQuery } from '../../core/progress.ts';
import type { ActionRecord, ResourceId, RunRecord, Trigger } from '../../core/types.ts';

export interface RunReader {
  /** Newest first; without runs in progress. */
  list(query: HistoryQuery): RunRecord[];
  /**
   * The same for one slice of the history, however long the history is.
   * @param before only runs older than this one; null starts with the newest
   * @returns `next`: the start of the next slice; null if there is none
   */
  slice(query: HistoryQuery, before: number | null): { runs: RunRecord[]; next: number | null };
  /** A run that another run represents is returned as that run; a run in progress is `progressing`. */
  get(id: number): { run: RunRecord; actions: ActionRecord[] } | null;
  /** Newest first. */
  actionsOf(resource: ResourceId, limit: number): { run: number; at: string; action: ActionRecord }[];
  /** Ids of all resources that runs acted on. */
  resources(): string[];
  /**
   * End of the newest run that asked the repository and found everything in sync, ms since 1970; null if the newest 2,000 runs
   * have none.
   */
  lastGoodMs(): number | null;
  /** The newest runs that changed something, were requested, or had a new verdict, with at most `most` actions each. */
  recent(limit: number, most: number): RecentRun[];
}

export interface RecentRun {
  run: RunRecord;
  /** In their order; if there are more, those that are not `done` are kept first. */
  actions: ActionRecord[];
  actionsTotal: number;
}

interface Raw {
  id: number;
  trigger: Trigger;
  started_at: string;
  duration_ms: number;
  /** null while the run is in progress. */
  sync: RunRecord['sync'] | null;
  reason: RunRecord['reason'];
  message: string;
  commit_info: string | null;
  changed: number;
  failed: number;
  repaired: number;
  quiet_from?: number | null;
  command?: string | null;
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
  // Prepared on use, because a database of an older version has no such column.
  const standsFor = (id: number): Raw | undefined =>
    db
      .prepare<[number, number], Raw>('SELECT * FROM runs WHERE quiet_from <= ? AND id > ? ORDER BY id LIMIT 1')
      .get(id, id);
  const resources = db.prepare<[], { resource: string }>('SELECT DISTINCT resource FROM actions');
  const recent = db.prepare<[number], Raw>(RECENT);
  const countActions = db.prepare<[number], { n: number }>('SELECT count(*) AS n FROM actions WHERE run = ?');
  const worstActions = db.prepare<[number, number], { record: string }>(
    `SELECT record FROM (SELECT rowid AS place, record FROM actions WHERE run = ?
       ORDER BY record ->> '$.result' = 'done', rowid LIMIT ?) ORDER BY place`,
  );
  return {
    lastGoodMs() {
      const found = db.prepare<[], Pick<Raw, 'started_at' | 'duration_ms'>>(LAST_GOOD).get();
      return found === undefined ? null : Date.parse(found.started_at) + found.duration_ms;
    },
    resources: () => resources.all().map(({ resource }) => resource),
    recent: (limit, most) =>
      recent.all(limit).map((raw) => ({
        run: parse(raw),
        actions: worstActions.all(raw.id, most).map((a) => JSON.parse(a.record) as ActionRecord),
        actionsTotal: countActions.get(raw.id)?.n ?? 0,
      })),
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

/** Leaves out runs without work whose verdict equals that of the run before. */
const RECENT = `SELECT * FROM runs WHERE sync IS NOT NULL AND (
    changed + failed > 0 OR trigger = 'manual' OR EXISTS (SELECT 1 FROM actions WHERE run = runs.id)
    OR NOT EXISTS (SELECT 1 FROM runs AS before WHERE before.id = (SELECT max(id) FROM runs AS r WHERE r.id < runs.id)
      AND before.sync = runs.sync AND before.commit_id IS runs.commit_id AND before.reason = runs.reason)
  ) ORDER BY id DESC LIMIT ?`;

/** Repairs of drift do not ask the repository. */
const LAST_GOOD = `SELECT started_at, duration_ms FROM
    (SELECT started_at, duration_ms, trigger, sync, reason FROM runs ORDER BY id DESC LIMIT 2000)
  WHERE sync = 'synced' AND reason = '' AND trigger <> 'drift' LIMIT 1`;

/** The query for the newest run is used at each start, so it is prepared only once. */
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
/** Number of runs that are read at a time: some tens of milliseconds, however long the history is. */
const SLICE = 200;

function conditionsOf(query: HistoryQuery): { where: string[]; values: unknown[] } {
  const where = [...FINISHED];
  const values: unknown[] = [];
  const add = (sql: string, ...given: unknown[]) => {
    where.push(sql);
    values.push(...given);
  };
  if (query.since) add('started_at >= ?', query.since);
  // Includes commits that came together with a newer one.
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
  ...(raw.command ? { command: JSON.parse(raw.command) } : {}),
});
