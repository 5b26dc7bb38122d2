/** Exit codes of `status` and `sync`, for scripts that check whether everything is well. */
import { expect, test } from 'vitest';
import { exitOfStatus, exitOfSync } from '../../agent/cli/host/exits.ts';
import type { Problem } from '../../agent/core/types.ts';

const UNREAD: Problem = { id: 'repository', reason: 'RepositoryUnreachable', message: '', file: null, line: null };

test.each([
  ['synced', 'healthy', 0],
  ['synced', 'degraded', 1],
  ['synced', 'progressing', 1],
  ['held', 'healthy', 2],
  ['held', 'degraded', 1],
  ['rolled-back', 'healthy', 1],
  ['failed', 'healthy', 1],
  ['unassigned', 'unknown', 1],
] as const)('status: %s, %s: %i', (sync, health, exit) => {
  expect(exitOfStatus({ sync, health, problems: [] })).toBe(exit);
});

test.each([
  ['synced', [], 0],
  ['synced', [UNREAD], 1],
  ['held', [], 2],
  ['held', [UNREAD], 1],
  ['progressing', [], 1],
  ['rolled-back', [], 1],
  ['failed', [], 1],
] as const)('sync: %s, problems %j: %i', (sync, problems, exit) => {
  expect(exitOfSync({ sync }, { sync, health: 'healthy', problems: [...problems] })).toBe(exit);
});
