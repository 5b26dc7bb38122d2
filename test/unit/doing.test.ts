/** What status says of a host at work. */
import { expect, test } from 'vitest';
import { createDoing } from '../../agent/control/doing.ts';
import type { CommitInfo } from '../../agent/core/types.ts';

const COMMIT: CommitInfo = { ref: 'main', commit: 'c'.repeat(40), author: 'A', subject: 's', committedAt: '' };

const AT = '2026-03-01T12:00:00.000Z';

test('a run that only looks is no work', () => {
  const doing = createDoing();
  doing.take({ type: 'phase', phase: 'fetch' });
  doing.take({ type: 'commit', commit: COMMIT });
  expect(doing.take({ type: 'phase', phase: 'plan' })).toBe(false);
  expect(doing.now()).toBeNull();
});

test('each step is named with the commit that the run is about', () => {
  const doing = createDoing();
  doing.take({ type: 'commit', commit: COMMIT });
  expect(doing.take({ type: 'phase', phase: 'prepare' })).toBe(true);
  expect(doing.now()).toEqual({ commit: COMMIT, text: 'preparing', waiting: [] });
  doing.take({ type: 'progress', image: 'app:1', doneBytes: 1, totalBytes: 2 });
  expect(doing.now()?.text).toBe('pulling app:1');
  doing.take({ type: 'phase', phase: 'apply' });
  expect(doing.now()?.text).toBe('applying');
  const waiting = [1, 2, 3, 4].map((n) => ({ id: `unit:${n}.service`, message: 'starting', since: AT, until: null }));
  expect(doing.take({ type: 'phase', phase: 'settle', waiting })).toBe(true);
  expect(doing.now()?.text).toMatch(/^waiting for unit:1\.service: starting; .* and 1 more$/);
  expect(doing.take({ type: 'phase', phase: 'settle', waiting })).toBe(false);
  expect(doing.take({ type: 'phase', phase: 'settle', waiting: waiting.slice(1) })).toBe(true);
});

test('at the end nothing is done any more', () => {
  const doing = createDoing();
  doing.take({ type: 'phase', phase: 'apply' });
  doing.end();
  expect(doing.now()).toBeNull();
});
