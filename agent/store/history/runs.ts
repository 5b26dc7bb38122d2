/**
 * Runs and their actions. Of consecutive runs without work, the first and the last are kept, and the last names the range that
 * it represents; a run that a person asked for is always kept.
 */
import { isDeepStrictEqual } from 'node:util';
import type Database from 'better-sqlite3';
import type { ReasonCode } from '../../../manifests-schema/reasons.ts';
import type { ActionRecord, RunRecord, Trigger } from '../../core/types.ts';
import { isUnwritable } from '../disk/unwritable.ts';
import { mostUrgent, type Writer } from '../disk/writer.ts';
import { durabilityOf, type FactValues } from '../facts.ts';
import type { EventDraft, Outbox } from './outbox.ts';
import { createQuietRuns, mayWait } from './quiet-runs.ts';
import { createRunReader, type RunReader } from './run-reader.ts';

export interface Runs extends RunReader {
  /**
   * @param id one above all others; chosen by the store if it is left out
   * @returns the run's id. Ids only grow, but ids of quiet runs that a crash lost are used again
   */
  begin(trigger: Trigger, at: string, id?: number): number;
  /** The current run threw, so it has ended. Throws if that cannot be written. */
  breakOff(reason: ReasonCode, message: string): void;
  /** Id of the newest run ever started; 0 before the first. */
  lastId(): number;
  /** A number that changes whenever `recent` may return something else. */
  revision(): number;
  /** The newest run that has ended. Cached, because every run reads it. */
  newest(): RunRecord | null;
  /** One transaction: the run, its actions, its events, and its facts. */
  finish(
    run: RunRecord,
    actions: readonly ActionRecord[],
    events: readonly EventDraft[],
    facts?: Partial<FactValues>,
  ): void;
}

/** Id of the newest run ever started in the database; 0 before the first. */
export const lastRunIn = (db: Database.Database): number =>
  db.prepare<[], { seq: number }>("SELECT seq FROM sqlite_sequence WHERE name = 'runs'").get()?.seq ?? 0;

export function createRuns(db: Database.Database, writer: Writer, outbox: Outbox): Runs {
  // Runs of the last process that did not end are recorded as failed.
  const interrupt = db.prepare("UPDATE runs SET sync = 'failed', reason = ?, message = ? WHERE sync IS NULL");
  const breakOff: Runs['breakOff'] = (reason, message) =>
    writer.write('eventually', () => void interrupt.run(reason, message));
  breakOff('Interrupted', 'the agent ended during this run');
  const begin = db.prepare('INSERT OR IGNORE INTO runs (id, trigger, started_at) VALUES (?, ?, ?)');
  let newestId = lastRunIn(db);
  const lastId = () => newestId;
  const finish = db.prepare(
    `UPDATE runs SET duration_ms = @durationMs, sync = @sync, reason = @reason, message = @message, commit_id = @commitId,
     commit_info = @commitInfo, changed = @changed, failed = @failed, repaired = @repaired, command = @command WHERE id = @id`,
  );
  const addAction = db.prepare('INSERT INTO actions (run, resource, record) VALUES (?, ?, ?)');
  // The first quiet run after a change stays (it shows when all was well), and so does the newest; those between are deleted.
  const quiet = (run: string) =>
    `${run}.changed + ${run}.failed = 0 AND ${run}.sync = @sync AND ${run}.commit_id IS @commitId AND ${run}.reason = @reason
       AND NOT EXISTS (SELECT 1 FROM actions WHERE run = ${run}.id)`;
  const between = `id = (SELECT max(id) FROM runs WHERE id < @id) AND trigger <> 'manual' AND ${quiet('runs')} AND EXISTS (
       SELECT 1 FROM runs AS before WHERE before.id = (SELECT max(id) FROM runs AS r WHERE r.id < runs.id) AND ${quiet('before')})`;
  const findQuiet = db.prepare<unknown[], { at: string }>(`SELECT started_at AS at FROM runs WHERE ${between}`);
  const dropQuiet = db.prepare<unknown[], { id: number; quiet_from: number | null }>(
    `DELETE FROM runs WHERE ${between} RETURNING id, quiet_from`,
  );
  const standFor = db.prepare('UPDATE runs SET quiet_from = ? WHERE id = ?');
  // An earlier run that did not settle, because another run replaced it, gets the verdict of that run.
  const conclude = db.prepare(
    `UPDATE runs SET sync = CASE WHEN commit_id IS @commitId THEN @sync ELSE 'unknown' END,
       reason = CASE WHEN commit_id IS @commitId THEN @reason ELSE 'Stopped' END, message = @message
     WHERE sync = 'progressing' AND id < @id`,
  );
  const isQuiet = (run: RunRecord, done: readonly ActionRecord[]) =>
    done.length === 0 && run.failed === 0 && run.trigger !== 'manual';
  const verdictOf = ({ id, sync, commit, reason }: RunRecord) => ({
    id,
    sync,
    commitId: commit?.commit ?? null,
    reason,
  });
  const end = (run: RunRecord, done: readonly ActionRecord[]) => {
    finish.run({
      ...run,
      ...verdictOf(run),
      commitInfo: run.commit && JSON.stringify(run.commit),
      command: run.command ? JSON.stringify(run.command) : null,
    });
    for (const action of done) addAction.run(run.id, action.id, JSON.stringify(action));
    if (!isQuiet(run, done)) return;
    const dropped = dropQuiet.get(verdictOf(run));
    if (dropped) standFor.run(dropped.quiet_from ?? dropped.id, run.id);
  };
  const quietRuns = createQuietRuns({
    insert: ({ id, trigger, at }) => void begin.run(id, trigger, at),
    finish: (run) => end(run, []),
  });
  writer.defer(quietRuns);
  /** Start of the waiting quiet run that this one can replace; null if this one must be written. */
  const replaces = (run: RunRecord): string | null => {
    const waiting = quietRuns.last();
    if (waiting === null) return findQuiet.get(verdictOf(run))?.at ?? null;
    return isDeepStrictEqual({ ...verdictOf(waiting.run), id: 0 }, { ...verdictOf(run), id: 0 }) ? waiting.since : null;
  };
  const record: Runs['finish'] = (run, done, events, facts) => {
    const { commitId } = verdictOf(run);
    // Its start may not have been written, because nothing could be written then.
    begin.run(run.id, run.trigger, run.startedAt);
    end(run, done);
    if (run.sync !== 'progressing') conclude.run({ id: run.id, sync: run.sync, commitId, ...verdictOn(run) });
    outbox.push(events, facts);
  };
  const reader = createRunReader(db);
  /** A reader sees all of the history, except what a full disk refuses. */
  const settled = (): RunReader => {
    try {
      writer.settle();
    } catch (thrown) {
      if (!isUnwritable(thrown)) throw thrown;
    }
    return reader;
  };
  let newest: RunRecord | null | undefined;
  let revision = 0;
  return {
    list: (query) => settled().list(query),
    slice: (query, before) => settled().slice(query, before),
    get: (id) => settled().get(id),
    actionsOf: (resource, limit) => reader.actionsOf(resource, limit),
    resources: () => reader.resources(),
    // A run that waits in memory had no work, and the same verdict as the run before it.
    recent: (limit, most) => reader.recent(limit, most),
    lastGoodMs: () => settled().lastGoodMs(),
    revision: () => revision,
    newest() {
      newest ??= reader.list({ limit: 1 })[0] ?? null;
      return newest;
    },
    begin(trigger, at, id = lastId() + 1) {
      // The run is written together with its first intent or event; a run with neither leaves no other trace.
      quietRuns.begin({ id, trigger, at });
      newestId = Math.max(newestId, id);
      return id;
    },
    breakOff(reason, message) {
      breakOff(reason, message);
      quietRuns.end(lastId());
      newest = undefined;
      revision++;
    },
    lastId,
    finish(run, done, events, facts = {}) {
      const isNews = events.length > 0 || Object.keys(facts).length > 0 || run.sync === 'progressing';
      const since = isNews || !isQuiet(run, done) || run.changed > 0 ? null : replaces(run);
      if (since !== null && mayWait(run, since) && !quietRuns.isBegun(run.id)) {
        quietRuns.replace(run, since);
        newest = run;
        return;
      }
      // Without news its loss costs nothing: the next run finds the same.
      const news = done.length + events.length > 0 ? 'now' : 'eventually';
      writer.write(mostUrgent([news, durabilityOf(facts)]), () => record(run, done, events, facts));
      quietRuns.end(run.id);
      newest = undefined;
      revision++;
    },
  };
}

/** The verdict on an earlier run that did not settle. */
const verdictOn = ({ id, reason, message, commit }: RunRecord): { reason: string; message: string } => ({
  reason,
  message: `finished by run #${id}${commit ? `, for commit ${commit.commit.slice(0, 7)}` : ''}${message ? `: ${message}` : ''}`,
});
