/** The progress line: redrawn on a terminal, one line for each new step in a pipe. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Context } from '../../agent/cli/context.ts';
import { createLive } from '../../agent/cli/host/live.ts';
import { createStyle } from '../../agent/cli/text/table.ts';
import type { SyncLine } from '../../agent/core/progress.ts';

beforeEach(() => void vi.useFakeTimers({ now: 0 }));
afterEach(() => void vi.useRealTimers());

function create(isTTY: boolean, columns = 80) {
  const out: string[] = [];
  const context = {
    terminal: { isTTY, stdout: (text: string) => out.push(text) },
    columns,
    style: createStyle(false),
    now: () => new Date(),
    say: (line: string) => out.push(`${line}\n`),
  } as unknown as Context;
  const live = createLive(context);
  /** The screen as a terminal shows it: erased text is gone. */
  const shown = () =>
    out
      .join('')
      .split('\n')
      .map((line) => line.slice(line.lastIndexOf('\r\u001b[K') + 1).replace('\u001b[K', ''));
  return { live, shown };
}

const settling = (message: string): SyncLine => ({
  type: 'phase',
  phase: 'settle',
  detail: 'service:shop/web',
  waiting: [{ id: 'service:shop/web', message, since: '2026-03-01T12:00:00.000Z', until: null }],
});
const pull = (image: string, doneBytes: number, totalBytes = 40_000_000): SyncLine => ({
  type: 'progress',
  image,
  doneBytes,
  totalBytes,
});
const action: SyncLine = {
  type: 'action',
  action: { id: 'file:/etc/x', op: 'create', why: [], result: 'done', drift: false, durationMs: 3 },
};

test('on a terminal a wait shows what it waits for, and for how long', () => {
  const { live, shown } = create(true);
  live.take(settling('has run for 0 of 10 s'));
  expect(shown()).toEqual(['waiting for service:shop/web: has run for 0 of 10 s']);
  vi.advanceTimersByTime(12_000);
  live.take(settling('has run for 9 of 10 s'));
  expect(shown()).toEqual(['waiting for service:shop/web: has run for 9 of 10 s (12 s)']);
  live.take(action);
  expect(shown()[0]).toMatch(/^\+ file:\/etc\/x/);
  expect(shown()[1]).toContain('(12 s)');
  live.take({ type: 'phase', phase: 'rollback', detail: 'service:shop/web: exited (1)' });
  expect(shown().slice(1)).toEqual(['rolling back: service:shop/web: exited (1)', '']);
  live.end();
  expect(shown().at(-1)).toBe('');
  expect(vi.getTimerCount()).toBe(0);
});

test('pulls show their bytes, side by side, and are cut at the width of the terminal', () => {
  const { live, shown } = create(true, 60);
  live.take({ type: 'phase', phase: 'prepare' });
  live.take(pull('shop:1.5', 12_300_000));
  expect(shown()).toEqual(['pulling shop:1.5  12.3 of 40.0 MB']);
  live.take(pull('registry.example.com/database:17', 1_000_000));
  expect(shown()[0]).toHaveLength(59);
  expect(shown()[0]).toMatch(/^pulling shop:1\.5 {2}12\.3 of 40\.0 MB, pulling regi.*…$/);
  live.end();
});

test('in a pipe each new step is one line, and a pull is reported in quarters', () => {
  const { live, shown } = create(false);
  live.take({ type: 'phase', phase: 'fetch' });
  live.take({ type: 'phase', phase: 'prepare' });
  for (let bytes = 0; bytes <= 40_000_000; bytes += 1_000_000) live.take(pull('shop:1.5', bytes));
  for (let s = 0; s < 10; s++) live.take(settling(`has run for ${s} of 10 s`));
  live.end();
  expect(shown()).toEqual([
    'asking the repository …',
    'preparing …',
    'pulling shop:1.5  0.0 of 40.0 MB …',
    'pulling shop:1.5  10.0 of 40.0 MB …',
    'pulling shop:1.5  20.0 of 40.0 MB …',
    'pulling shop:1.5  30.0 of 40.0 MB …',
    'pulling shop:1.5  40.0 of 40.0 MB …',
    'waiting for service:shop/web: has run for 0 of 10 s …',
    '',
  ]);
});

test('foreign text cannot move the cursor', () => {
  const { live, shown } = create(true);
  live.take(settling('\u001b[2J\rgone'));
  expect(shown()).toEqual(['waiting for service:shop/web: ·[2J·gone']);
  live.end();
});
