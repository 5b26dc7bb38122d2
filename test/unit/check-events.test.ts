import { expect, test } from 'vitest';
import type { ActionRecord, HealthState, ResourceId } from '../../agent/core/types.ts';
import { checkEvents } from '../../agent/engine/run/records/check-events.ts';
import type { Outcome } from '../../agent/engine/types.ts';
import { KINDS } from '../../agent/kinds/index.ts';

/** A host's memory, and the events of a run whose resources have this health. */
function host() {
  const kept = new Map<string, unknown>();
  const facts = { get: (name: string) => kept.get(name) };
  return (health: Record<ResourceId, HealthState>, more: Partial<Outcome> = {}) => {
    const resources = Object.entries(health).map(([id, state]) => ({ id, sync: 'synced', health: state, reason: '' }));
    const outcome = {
      rejected: false,
      commit: {},
      actions: [],
      problems: [],
      resources,
      ...more,
    } as unknown as Outcome;
    const { events, facts: remembered } = checkEvents(KINDS, { facts } as never, outcome, 'now');
    for (const [name, value] of Object.entries(remembered)) kept.set(name, value);
    return events.map(({ type, data }) => `${type} ${data.resource} ${data.health}: ${data.message}`);
  };
}

test('each turn of a check is reported once', () => {
  const run = host();
  const problems = [{ id: 'check:a', reason: 'Unhealthy' as const, message: 'refused', file: null, line: null }];
  expect(run({ 'check:a': 'healthy', 'service:p/s': 'degraded' })).toEqual([]);
  expect(run({ 'check:a': 'progressing' })).toEqual([]);
  expect(run({ 'check:a': 'degraded' }, { problems })).toEqual(['drift check:a degraded: refused']);
  expect(run({ 'check:a': 'degraded' }, { problems })).toEqual([]);
  // Nothing was observed; then a restarted agent runs the check again, and its count starts at zero.
  expect(run({}, { commit: null })).toEqual([]);
  expect(run({ 'check:a': 'progressing' })).toEqual([]);
  expect(run({ 'check:a': 'degraded' }, { problems })).toEqual([]);
  expect(run({ 'check:a': 'healthy' })).toEqual(['drift check:a healthy: passes again']);
  expect(run({ 'check:a': 'healthy' })).toEqual([]);
});

test('a check that a run changed is reported with that run; a check that is no longer declared is forgotten', () => {
  const run = host();
  const actions: ActionRecord[] = [
    { id: 'check:a', op: 'create', why: [], result: 'failed', drift: false, durationMs: 0 },
  ];
  expect(run({ 'check:a': 'degraded' }, { actions })).toEqual([]);
  expect(run({ 'check:a': 'healthy' })).toEqual(['drift check:a healthy: passes again']);
  run({ 'check:a': 'degraded' });
  expect(run({})).toEqual([]);
  expect(run({ 'check:a': 'healthy' })).toEqual([]);
});
