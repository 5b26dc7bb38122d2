/** What the status reports about a host at work. */
import { describe, expect, test } from 'vitest';
import { atWork, createDoing } from '../../agent/control/doing.ts';
import type { AgentState } from '../../agent/core/reporting/status.ts';
import type { CommitInfo, ResourceStatus } from '../../agent/core/types.ts';

const COMMIT: CommitInfo = { ref: 'main', commit: 'c'.repeat(40), author: 'A', subject: 's', committedAt: '' };

const AT = '2026-03-01T12:00:00.000Z';

test('a run that only observes does not count as work', () => {
  const doing = createDoing();
  doing.take({ type: 'phase', phase: 'fetch' });
  doing.take({ type: 'commit', commit: COMMIT });
  expect(doing.take({ type: 'phase', phase: 'plan' })).toBe(false);
  expect(doing.now()).toBeNull();
});

test('each step is reported with the commit that the run applies', () => {
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

test('at the end of the run no step is reported', () => {
  const doing = createDoing();
  doing.take({ type: 'phase', phase: 'apply' });
  doing.end();
  expect(doing.now()).toBeNull();
});

describe('the status of a host at work', () => {
  const idle: AgentState = {
    ...{ mode: 'enforce', labels: {}, desired: null, applied: null, lastGood: null, gate: null, pin: null, bad: [] },
    ...{ run: null, resources: [], hostStates: [], reason: '', message: '', problems: [], warnings: [], waiting: [] },
    running: false,
  };
  const failed: ResourceStatus = { id: 'network:web', sync: 'failed', health: 'degraded', reason: 'NetworkMissing' };
  const problem = {
    id: failed.id,
    reason: 'NetworkMissing',
    message: 'no such network',
    file: null,
    line: null,
  } as const;
  const atFault: AgentState = { ...idle, resources: [failed], problems: [problem] };
  const now = { commit: COMMIT, text: 'applying' };

  test('keeps a problem while its resource is tried again', () => {
    const state = { ...atFault, reason: problem.reason, message: 'network:web: no such network' };
    expect(atWork(state, now, null)).toEqual({
      ...{ desired: COMMIT, hostStates: ['progressing'], reason: 'NetworkMissing' },
      message: 'applying; until now: network:web: no such network',
    });
  });

  test('does not apply the verdict on the previous commit to the commit that is being tried', () => {
    const state: AgentState = { ...idle, hostStates: ['rolled-back'], reason: 'Unhealthy', message: 'rolled back' };
    expect(atWork(state, now, COMMIT.commit)).toEqual({
      ...{ desired: COMMIT, hostStates: ['progressing'], reason: '' },
      message: 'trying commit ccccccc: applying',
    });
  });

  test('keeps a resource that failed before while another commit is tried', () => {
    const state = { ...atFault, hostStates: ['rolled-back'], reason: 'Unhealthy', message: 'rolled back' } as const;
    expect(atWork(state, now, COMMIT.commit)).toMatchObject({
      reason: 'NetworkMissing',
      message: 'trying commit ccccccc: applying; until now: network:web: no such network',
    });
  });
});
