/**
 * What an observation of hinted resources reports to the hints: what drifted and was repaired, and nothing that is merely unwell.
 */
import { expect, test } from 'vitest';
import type { ActionRecord, ResourceId, ResourceStatus } from '../../agent/core/types.ts';
import { findingsOf } from '../../agent/engine/drift/drift.ts';
import type { RunResult } from '../../agent/engine/run/reconcile.ts';

const WEB: ResourceId = 'service:shop/web';

function looked(health: ResourceStatus['health'], actions: readonly Partial<ActionRecord>[] = []) {
  const resources = [{ id: WEB, sync: 'synced', health, reason: '' }];
  const outcome = { resources, actions: actions.map((a) => ({ id: WEB, ...a })) } as unknown as RunResult['outcome'];
  return findingsOf({ outcome, part: { hinted: new Set([WEB]), recorded: false, news: false } }).get(WEB);
}

test('a hinted resource that is unwell but needs no repair is no drift: the Docker engine restarts it', () => {
  expect(looked('degraded')).toEqual({ outcome: 'still', waiting: false });
});

test('a resource that drifted and is well now was repaired', () => {
  expect(looked('healthy', [{ drift: true, result: 'done' }])?.outcome).toBe('repaired');
});

test.each([
  ['whose repair failed', 'healthy', 'failed'],
  ['that is unwell for all its repair', 'degraded', 'done'],
] as const)('a resource that drifted and %s is failing', (_what, health, result) => {
  expect(looked(health, [{ drift: true, result }])?.outcome).toBe('failing');
});

test('an action of a new commit is not reported', () => {
  expect(looked('degraded', [{ drift: false, result: 'failed' }])?.outcome).toBe('still');
});
