/** The newest runs and changes, as the broker retains them: which ones are included, and which are dropped first. */
import { rmSync } from 'node:fs';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  RECENT_ACTIONS,
  RECENT_BYTES,
  RECENT_RUNS,
  recentHistoryOf,
} from '../../agent/core/reporting/recent-history.ts';
import type { ActionRecord, RunRecord } from '../../agent/core/types.ts';
import { silentLog } from '../../agent/log.ts';
import { openStore, type Store } from '../../agent/store/db.ts';
import { recentHistory } from '../../manifests-schema/history.ts';
import { inMemory } from '../scratch.ts';

const NAMES = { host: 'edge-1', fleet: 'f' };
const minute = (n: number) => new Date(Date.UTC(2026, 0, 1, 0, n)).toISOString();
const commit = {
  commit: 'a'.repeat(40),
  ref: 'main',
  author: 'Ann <ann@example.com>',
  subject: 's',
  committedAt: minute(0),
};
const runOf = (id: number, more: Partial<RunRecord> = {}): RunRecord => ({
  ...{ id, trigger: 'schedule', startedAt: minute(id), durationMs: 5, sync: 'synced', reason: '', message: '', commit },
  ...{ changed: 1, failed: 0, repaired: 0 },
  ...more,
});
const actionOf = (n: number, more: Partial<ActionRecord> = {}): ActionRecord => ({
  ...{ id: `file:/etc/${n}`, op: 'update', why: [{ field: 'content', from: 'a', to: 'b' }], result: 'done' },
  ...{ drift: false, durationMs: 1 },
  ...more,
});
const bytes = (value: unknown) => Buffer.byteLength(JSON.stringify(value));

describe('the document', () => {
  test('matches the published schema, newest first', () => {
    const runs = [3, 2, 1].map((id) => ({ run: runOf(id), actions: [actionOf(id)], actionsTotal: 1 }));
    const document = recentHistoryOf(NAMES, runs);
    expect(recentHistory.parse(document)).toEqual(document);
    expect(document).toMatchObject({ ...NAMES, schema: 1, at: '2026-01-01T00:03:00.005Z' });
    expect(document.runs.map(({ id, actions }) => [id, actions.map((a) => a.id)])).toEqual([
      [3, ['file:/etc/3']],
      [2, ['file:/etc/2']],
      [1, ['file:/etc/1']],
    ]);
  });

  test('of a host without a run is an empty list', () => {
    expect(recentHistory.parse(recentHistoryOf(NAMES, [])).runs).toEqual([]);
  });

  test('is cut from the oldest: actions of old runs go before the runs, and never a newer one before an older one', () => {
    const text = fc.string({ unit: 'grapheme', maxLength: 600 });
    const recorded = fc.record({
      actions: fc.array(fc.record({ to: text, why: fc.integer({ min: 0, max: 12 }), message: fc.option(text) }), {
        maxLength: 70,
      }),
      message: text,
    });
    fc.assert(
      fc.property(fc.array(recorded, { maxLength: 60 }), fc.integer({ min: 2_000, max: 70_000 }), (given, maxBytes) => {
        const runs = given.map(({ actions, message }, i) => ({
          run: runOf(given.length - i, { message }),
          actions: actions.map(({ to, why, message: said }, n) =>
            actionOf(n, {
              why: Array.from({ length: why }, () => ({ field: 'content', to })),
              ...(said === null ? {} : { result: 'failed', error: { code: 'ApplyFailed', message: said } }),
            }),
          ),
          actionsTotal: actions.length,
        }));
        const document = recentHistoryOf(NAMES, runs, maxBytes);
        expect(bytes(document)).toBeLessThanOrEqual(maxBytes);
        expect(recentHistory.safeParse(document).error).toBeUndefined();
        expect(document.runs.map((r) => r.id)).toEqual(runs.slice(0, document.runs.length).map((r) => r.run.id));
        const isWhole = document.runs.map(
          (r, i) => r.actions.length === Math.min(RECENT_ACTIONS, runs[i]?.actions.length ?? 0),
        );
        const cut = isWhole.indexOf(false);
        if (cut >= 0) expect(document.runs.slice(cut + 1).flatMap((r) => r.actions)).toEqual([]);
        if (document.runs.length < Math.min(RECENT_RUNS, runs.length))
          expect(document.runs.slice(1).flatMap((r) => r.actions).length).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  test('with its topic is smaller than the 64 KiB that clients accept in a packet', () => {
    const runs = Array.from({ length: 80 }, (_, i) => ({
      run: runOf(80 - i, { message: 'x'.repeat(5_000) }),
      actions: Array.from({ length: 80 }, (_, n) =>
        actionOf(n, { why: [{ field: 'content', to: 'é'.repeat(5_000) }] }),
      ),
      actionsTotal: 80,
    }));
    const document = recentHistoryOf(NAMES, runs);
    expect(document.runs.length).toBe(RECENT_RUNS);
    expect(bytes(document)).toBeLessThanOrEqual(RECENT_BYTES);
    expect(RECENT_BYTES + 1_024).toBeLessThan(64 * 1024);
  });
});

describe('recent runs', () => {
  let dir: string;
  let store: Store;
  beforeEach(() => {
    dir = inMemory('recent');
    store = openStore({ dir, now: () => new Date(), log: silentLog });
  });
  afterEach(() => {
    store.close();
    rmSync(dir, { recursive: true, force: true });
  });
  let at = 0;
  function play(more: Partial<RunRecord> = {}, actions: readonly ActionRecord[] = []): number {
    const trigger = more.trigger ?? 'schedule';
    const id = store.runs.begin(trigger, minute(++at));
    store.runs.finish(runOf(id, { changed: actions.length, ...more, startedAt: minute(at), trigger }), actions, []);
    return id;
  }
  const recent = () => store.runs.recent(RECENT_RUNS, RECENT_ACTIONS);
  const ids = () => recent().map(({ run }) => run.id);

  test('are those that did something, were requested, or had another result; an hour of quiet runs is no news', () => {
    const first = play();
    const changed = play({}, [actionOf(1)]);
    const revision = store.runs.revision();
    for (let n = 0; n < 59; n++) play();
    expect(ids()).toEqual([changed, first]);
    expect(store.runs.revision() - revision).toBeLessThanOrEqual(2);
    const asked = play({ trigger: 'manual' });
    const failed = play({ sync: 'failed', reason: 'RepositoryUnreachable' });
    play({ sync: 'failed', reason: 'RepositoryUnreachable' });
    const well = play();
    expect(ids()).toEqual([well, failed, asked, changed, first]);
    expect(store.runs.revision()).toBeGreaterThan(revision);
  });

  test('are read without writing what waits to be written', () => {
    play();
    for (let n = 0; n < 5; n++) play();
    const revision = store.runs.revision();
    recent();
    expect(store.runs.revision()).toBe(revision);
    expect(store.runs.newest()?.id).toBe(6);
  });

  test('with many actions keep those that failed, in their order', () => {
    const all = Array.from({ length: 200 }, (_, n) =>
      actionOf(n, n % 40 === 39 ? { result: 'failed', error: { code: 'ApplyFailed', message: 'no' } } : {}),
    );
    play({}, all);
    const [run] = recent();
    expect(run?.actionsTotal).toBe(200);
    expect(run?.actions.filter((a) => a.result === 'failed').map((a) => a.id)).toEqual(
      [39, 79, 119, 159, 199].map((n) => `file:/etc/${n}`),
    );
    const places = run?.actions.map((a) => Number(a.id.slice('file:/etc/'.length))) ?? [];
    expect(places).toEqual([...places].sort((a, b) => a - b));
    expect(places.length).toBe(RECENT_ACTIONS);
  });
});
