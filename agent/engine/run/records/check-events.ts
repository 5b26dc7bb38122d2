/** Events of checks that fail or pass again without an action: each change is reported once. */
import { type KindTable, traitsOf } from '../../../core/kind.ts';
import type { ResourceId } from '../../../core/types.ts';
import type { Store } from '../../../store/db.ts';
import type { FactValues } from '../../../store/facts.ts';
import type { EventDraft } from '../../../store/history/outbox.ts';
import type { Outcome } from '../../types.ts';

/** @returns the events of a run's result, and the facts to store with them, so that they are reported once */
export function checkEvents(
  kinds: KindTable,
  { facts }: Pick<Store, 'facts'>,
  outcome: Outcome,
  at: string,
): { events: EventDraft[]; facts: Partial<FactValues> } {
  // A run that could not observe anything has no news.
  if (outcome.commit === null || outcome.rejected) return { events: [], facts: {} };
  const before = facts.get('failingChecks') ?? [];
  const checks = outcome.resources.filter((r) => traitsOf(kinds, r.id).judgesEveryRun);
  const failing = checks.filter((r) => r.health === 'degraded').map((r) => r.id);
  const well = new Set(checks.filter((r) => r.health === 'healthy').map((r) => r.id));
  const declared = new Set(checks.map((r) => r.id));
  // A check that fails again, but not for long enough yet, is neither failing nor well.
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
    // If a run acted on a check, that run reports it.
    ...now.filter((id) => !before.includes(id) && !acted.has(id)).map((id) => event(id, 'degraded', messageOf(id))),
    ...before.filter((id) => well.has(id)).map((id) => event(id, 'healthy', 'passes again')),
  ];
  return { events, facts: isOther ? { failingChecks: now } : {} };
}
