import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { SyncLine } from '../../agent/core/progress.ts';
import type { RunResult } from '../../agent/engine/run/reconcile.ts';
import type { RunRequest } from '../../agent/engine/types.ts';
import { createLoop, type Loop } from '../../agent/engine/when/loop.ts';
import { silentLog } from '../../agent/log.ts';

const NEVER = '0 0 1 1 *';
let loop: Loop;
let requests: RunRequest[];
let finish: ((answer?: Partial<Answer>) => void)[];
let turns: number;

interface Answer {
  sync: 'synced' | 'failed';
  commit: string;
  rejected: boolean;
  bug: boolean;
}

const result = ({ sync = 'synced', commit = 'c1', rejected = false }: Partial<Answer>): RunResult =>
  ({ run: { sync, commit: { commit } }, outcome: { rejected, problems: [] } }) as unknown as RunResult;

/** A loop whose runs end when the test ends them. */
function start(schedule = NEVER, splayMs = 0): void {
  loop = createLoop({
    run: (request) => {
      requests.push(request);
      return new Promise((resolve, reject) =>
        finish.push((answer = {}) => (answer.bug ? reject(new Error('bug')) : resolve(result(answer)))),
      );
    },
    finished: () => ({ type: 'done' }) as unknown as SyncLine,
    failed: (thrown) => ({ type: 'done', run: { reason: String(thrown) } }) as unknown as SyncLine,
    turned: () => {
      turns++;
    },
    jumped: () => undefined,
    clock: { now: () => new Date(), monotonic: () => performance.now() },
    schedule,
    splayMs,
    host: 'edge-1',
    random: () => 1,
    log: silentLog,
  });
  loop.start();
}
const settle = () => vi.advanceTimersByTimeAsync(0);
const end = async (answer?: Partial<Answer>) => {
  finish.shift()?.(answer);
  await settle();
};

beforeEach(() => {
  vi.useFakeTimers({ now: new Date('2026-03-01T12:00:30Z') });
  requests = [];
  finish = [];
  turns = 0;
});
afterEach(async () => {
  for (const done of finish) done();
  await loop.stop();
  vi.useRealTimers();
});

describe('a loop on hold', () => {
  test('begins no run until it is released, and then runs with all requests', async () => {
    start();
    await end();
    const { promise, resolve } = Promise.withResolvers<void>();
    loop.hold(promise);
    const waiting = loop.request({}, 'manual');
    await settle();
    expect(requests).toHaveLength(1);
    resolve();
    await settle();
    expect(requests).toHaveLength(2);
    await end();
    await waiting;
  });

  test('lets the current run end', async () => {
    start();
    loop.hold(new Promise(() => undefined));
    await end();
    expect(loop.running()).toBe(false);
  });

  test('can be stopped', async () => {
    start();
    await end();
    loop.hold(new Promise(() => undefined));
    void loop.request({}, 'manual');
    await settle();
    await loop.stop();
    expect(requests).toHaveLength(1);
  });
});

describe('one run at a time', () => {
  test('requests during a run are merged into one next run, with all of their flags', async () => {
    start();
    const lines: string[] = [];
    const waiting = [
      loop.request({ allowPrune: true }, 'manual', (line) => lines.push(line.type)),
      loop.request({}, 'push'),
      loop.request({}, 'schedule'),
    ];
    expect(requests.map((r) => r.trigger)).toEqual(['start']);
    await end();
    expect(requests.map((r) => [r.trigger, r.allowPrune])).toEqual([
      ['start', false],
      ['manual', true],
    ]);
    await end();
    await Promise.all(waiting);
    expect(lines).toEqual(['done']);
    expect(requests).toHaveLength(2);
  });

  test('a caller that waits during the current run sees its progress, and gets the result of its own run', async () => {
    start();
    const lines: string[] = [];
    const waiting = loop.request({}, 'manual', (line) => lines.push(line.type === 'phase' ? line.phase : line.type));
    requests[0]?.emit({ type: 'phase', phase: 'settle' });
    expect(lines).toEqual(['settle']);
    await end();
    requests[1]?.emit({ type: 'phase', phase: 'fetch' });
    await end();
    await waiting;
    expect(lines).toEqual(['settle', 'fetch', 'done']);
  });

  test('a run that throws does not end the loop; callers get the error, and it is retried', async () => {
    start();
    await end();
    const lines: SyncLine[] = [];
    const waiting = loop.request({}, 'manual', (line) => lines.push(line));
    await end({ bug: true });
    await waiting;
    expect(lines).toEqual([{ type: 'done', run: { reason: 'Error: bug' } }]);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(requests.map((r) => r.trigger)).toEqual(['start', 'manual', 'retry']);
  });
});

describe('retries', () => {
  test('have growing pauses, up to five minutes, and start short again after a good run', async () => {
    start();
    const waits: number[] = [];
    for (let i = 0; i < 9; i++) {
      await end({ sync: 'failed' });
      const from = Date.now();
      while (requests.length === i + 1) await vi.advanceTimersByTimeAsync(1_000);
      waits.push(Math.round((Date.now() - from) / 1_000));
    }
    expect(waits).toEqual([5, 10, 20, 40, 80, 160, 300, 300, 300]);
    await end();
    void loop.request({}, 'manual');
    await end({ sync: 'failed' });
    const before = requests.length;
    await vi.advanceTimersByTimeAsync(5_000);
    expect(requests).toHaveLength(before + 1);
  });

  test('begin at once, with a new count, for a new commit', async () => {
    start();
    for (let i = 0; i < 5; i++) {
      await end({ sync: 'failed' });
      await vi.advanceTimersByTimeAsync(300_000);
    }
    const before = requests.length;
    await end({ sync: 'failed' });
    void loop.request({}, 'push');
    expect(requests).toHaveLength(before + 1);
    await end({ sync: 'failed', commit: 'c2' });
    await vi.advanceTimersByTimeAsync(5_000);
    expect(requests).toHaveLength(before + 2);
  });

  test('are not made by the clock for a commit that is itself at fault', async () => {
    start();
    await end({ sync: 'failed', rejected: true });
    await vi.advanceTimersByTimeAsync(3_600_000);
    expect(requests).toHaveLength(1);
  });
});

test('a retry that another run replaced is held no longer', async () => {
  start();
  for (let run = 0; run < 100; run++) {
    await end({ sync: 'failed' });
    void loop.request({}, 'schedule');
  }
  await end({ sync: 'failed' });
  // A stop clears every timer that the loop still holds.
  const cleared = vi.spyOn(globalThis, 'clearTimeout');
  await loop.stop();
  expect(cleared.mock.calls.length).toBeLessThan(5);
  cleared.mockRestore();
});

describe('drift', () => {
  const A = 'file:/a';
  const B = 'file:/b';
  const hinted = () => requests.map((r) => r.hinted && [...r.hinted].sort());

  test('requests a run that observes all hinted resources together; any other trigger makes it a full one', async () => {
    start();
    loop.drifted([A]);
    loop.drifted([B, A]);
    await end();
    expect([requests.at(-1)?.trigger, hinted().at(-1)]).toEqual(['drift', [A, B]]);
    loop.drifted([A]);
    void loop.request({}, 'push');
    loop.drifted([B]);
    await end();
    expect([requests.at(-1)?.trigger, hinted().at(-1)]).toEqual(['push', null]);
  });

  test('is observed while a run only waits, and never while it works', async () => {
    start();
    await end();
    void loop.request({}, 'manual');
    const run = requests[1];
    loop.drifted([A]);
    expect(requests).toHaveLength(2);
    let over = (): void => undefined;
    let went = false;
    const waited = run?.yielding(new Promise<void>((resolve) => (over = resolve))).then(() => {
      went = true;
    });
    expect(hinted().at(-1)).toEqual([A]);
    // The run continues when the thing it waited for is there and the repair has ended.
    over();
    await settle();
    expect(went).toBe(false);
    finish.pop()?.();
    await waited;
    loop.drifted([B]);
    expect(requests).toHaveLength(3);
    await end();
    expect(hinted().at(-1)).toEqual([B]);
  });

  test('waits for the first full run, which sets the commit that repairs follow', async () => {
    start();
    void requests[0]?.yielding(new Promise(() => undefined));
    loop.drifted([A]);
    expect(requests).toHaveLength(1);
    await end();
    expect(hinted().at(-1)).toEqual([A]);
  });

  test('neither delays a retry nor lengthens the next pause', async () => {
    start();
    await end({ sync: 'failed' });
    for (let i = 0; i < 4; i++) {
      await vi.advanceTimersByTimeAsync(1_000);
      loop.drifted([A]);
      await end({ sync: 'failed' });
    }
    const before = requests.length;
    await vi.advanceTimersByTimeAsync(1_000);
    expect(requests).toHaveLength(before + 1);
    expect(requests.at(-1)?.trigger).toBe('retry');
    await end();
    // A repair that fails is retried by a full run.
    loop.drifted([A]);
    await end({ sync: 'failed' });
    await vi.advanceTimersByTimeAsync(5_000);
    expect(requests.at(-1)?.trigger).toBe('retry');
  });
});

test('the schedule triggers at this host’s own place within the splay, at the time that `next` predicts', async () => {
  start('* * * * *', 20_000);
  await end();
  const due = Date.parse(loop.next() ?? '');
  expect(due - Date.parse('2026-03-01T12:01:00Z')).toBeGreaterThanOrEqual(0);
  expect(due - Date.parse('2026-03-01T12:01:00Z')).toBeLessThan(20_000);
  await vi.advanceTimersByTimeAsync(due - Date.now() - 1_000);
  expect(requests).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(3_000);
  expect(requests.map((r) => r.trigger)).toEqual(['start', 'schedule']);
});

test('the watchdog is fed while idle and while a run makes progress, not by one that hangs', async () => {
  start();
  await vi.advanceTimersByTimeAsync(500_000);
  // A pull may take half an hour.
  requests[0]?.emit({ type: 'phase', phase: 'prepare' });
  await vi.advanceTimersByTimeAsync(1_800_000);
  requests[0]?.emit({ type: 'phase', phase: 'settle' });
  await vi.advanceTimersByTimeAsync(250_000);
  expect(turns).toBeGreaterThan(250);
  await vi.advanceTimersByTimeAsync(100_000);
  const hung = turns;
  await vi.advanceTimersByTimeAsync(600_000);
  expect(turns).toBe(hung);
  await end();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(turns).toBeGreaterThan(hung + 4);
});

test('the watchdog is fed while a job uses its full time, a repair acts and the repository responds slowly', async () => {
  start();
  for (let part = 0; part < 5; part++) {
    await vi.advanceTimersByTimeAsync(500_000);
    loop.received();
  }
  requests[0]?.emit({ type: 'phase', phase: 'apply' });
  requests[0]?.emit({ type: 'phase', phase: 'apply', detail: 'job:backup', withinMs: 7_200_000 });
  const before = turns;
  await vi.advanceTimersByTimeAsync(3_000_000);
  // A repair beside it does not reduce its time.
  requests[0]?.emit({ type: 'phase', phase: 'apply', detail: 'job:other', withinMs: 1_000_000 });
  await vi.advanceTimersByTimeAsync(4_000_000);
  expect(turns).toBe(before + 700);
  requests[0]?.emit({ type: 'phase', phase: 'settle' });
  await vi.advanceTimersByTimeAsync(310_000);
  const hung = turns;
  await vi.advanceTimersByTimeAsync(60_000);
  expect(turns).toBe(hung);
  await end();
  loop.drifted(['file:/a']);
  await settle();
  const atRepair = turns;
  await vi.advanceTimersByTimeAsync(1_800_000);
  expect(turns).toBe(atRepair + 180);
});

test('repairs do not hide a run that hangs in a request to the repository', async () => {
  start();
  await end();
  void loop.request({}, 'manual');
  void requests[1]?.yielding(new Promise(() => undefined));
  for (let minute = 0; minute < 20; minute++) {
    loop.drifted(['file:/a']);
    await settle();
    const side = requests.length > 2 ? finish.pop() : undefined;
    side?.();
    await vi.advanceTimersByTimeAsync(60_000);
  }
  expect(requests.length).toBeGreaterThan(10);
  const hung = turns;
  loop.drifted(['file:/a']);
  await settle();
  finish.pop()?.();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(turns).toBe(hung);
});

test('stopping aborts the current run by its signal, and releases the callers that wait', async () => {
  start();
  const waiting = loop.request({}, 'manual');
  const stopping = loop.stop();
  expect(requests[0]?.signal.aborted).toBe(true);
  await end();
  await Promise.all([stopping, waiting]);
  expect(requests).toHaveLength(1);
});
