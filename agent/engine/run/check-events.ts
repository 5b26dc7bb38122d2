/** Checks that fail, or pass again, while nothing is done: each turn is told once. */
import { type KindTable, traitsOf } from '../../core/kind.ts';
import type { ResourceId } from '../../core/types.ts';
import type { Store } from '../../store/db.ts';
import type { FactValues } from '../../store/facts.ts';
import type { EventDraft } from '../../store/outbox.ts';
import type { Outcome } from '../types.ts';

/** @returns the events that a run's answer makes, and what is to be remembered with them, so that they are told once */
export function checkEvents(
  kinds: KindTable,
  { facts }: Pick<Store, 'facts'>,
  outcome: Outcome,
  at: string,
): { events: EventDraft[]; facts: Partial<FactValues> } {
  // A run that could not see anything knows nothing new.
  if (outcome.commit === null || outcome.rejected) return { events: [], facts: {} };
  const before = facts.get('failingChecks') ?? [];
  const checks = outcome.resources.filter((r) => traitsOf(kinds, r.id).judgesEveryRun);
  const failing = checks.filter((r) => r.health === 'degraded').map((r) => r.id);
  const well = new Set(checks.filter((r) => r.health === 'healthy').map((r) => r.id));
  const declared = new Set(checks.map((r) => r.id));
  // One that fails anew, and is not yet failing for long enough, is neither.
  const now = [...new Set([...before.filter((id) => declared.has(id) && !well.has(id)), ...failing])];
  const isOther = JSON.stringify(now) !== JSON.stringify(before);

  const acted = new Set(outcome.actions.map((a) => a.id));
  const event = (resource: ResourceId, health: string, message: string): EventDraft => ({
    at,
    type: 'drift',
    run: null,
    data: { resource, health, message },
  });
  const messageOf = (id: ResourceId) => outcome.problems.find((p) => p.id === id)?.message ?? '';
  const events = [
    // What a run did to it is told with that run.
    ...now.filter((id) => !before.includes(id) && !acted.has(id)).map((id) => event(id, 'degraded', messageOf(id))),
    ...before.filter((id) => well.has(id)).map((id) => event(id, 'healthy', 'passes again')),
  ];
  return { events, facts: isOther ? { failingChecks: now } : {} };
}
