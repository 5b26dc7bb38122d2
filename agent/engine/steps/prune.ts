/** Removes what fairlead created and no manifest declares any more. */
import { kindOf } from '../../core/id.ts';
import type { Removal } from '../../core/plan/plan.ts';
import type { Gone, Provider, RemovalReport } from '../../core/provider.ts';
import type { ActionRecord, Reason, ResourceId } from '../../core/types.ts';
import { type AgentError, asAgentError } from '../../errors.ts';
import type { Run } from '../types.ts';

/** Maximum number of removals in one call, if their kind supports that: the agent can be stopped in between. */
const TOGETHER = 512;

/** Removals whose claims are needed by what is applied now, and their dependents, in the plan's order. */
export function earlyRemovals(removals: readonly Removal[], doomed: ReadonlySet<ResourceId>): Removal[] {
  const early = new Set<ResourceId>();
  // Dependents stand before what they need.
  for (const { id, neededBy, needs } of removals.toReversed())
    if (
      (neededBy.length > 0 && !neededBy.some((other) => doomed.has(other))) ||
      needs.some((other) => early.has(other))
    )
      early.add(id);
  return removals.filter(({ id }) => early.has(id));
}

/** Removes in the plan's order, neighbours of one kind together. An inventory row is deleted only after a confirmed removal. */
export async function prune(run: Run, removals: readonly Removal[]): Promise<ActionRecord[]> {
  const records: ActionRecord[] = [];
  const unseen = removals.filter(({ seen }) => seen === undefined);
  if (unseen.length > 0) run.store.inventory.forget(unseen.map(({ id }) => id));
  const gone = removals.flatMap(({ id, seen }) => (seen === undefined ? [] : [{ id, seen }]));
  if (gone.length > 0) {
    run.store.beforeActing();
    // A removal stops its resource first, which may take as long as an apply.
    run.io.emit({ type: 'phase', phase: 'apply' });
  }
  for (const batch of batches(run, gone)) {
    if (run.io.signal.aborted) break;
    const began = run.clock.monotonic();
    const notes = new Map<ResourceId, Reason[]>();
    const staying = new Set<ResourceId>();
    const report: RemovalReport = (id, note, fate) => {
      notes.set(id, [...(notes.get(id) ?? []), note]);
      if (fate === 'stays') staying.add(id);
    };
    const provider = batch[0] && run.providers.get(kindOf(batch[0].id));
    const failures = await removeBatch(provider, batch, report, run.io.signal);
    // Each removal is recorded with an equal share of the time.
    const durationMs = Math.round((run.clock.monotonic() - began) / batch.length);
    const confirmed = batch.filter(({ id }) => !failures.has(id));
    if (confirmed.length > 0) run.store.inventory.forget(confirmed.map(({ id }) => id));
    // Removals that did not start before the agent was stopped are left to the next run.
    for (const { id } of batch.filter((one) => failures.get(one.id)?.code !== 'Stopped')) {
      const why = [{ field: 'declaration', to: 'gone' }, ...(notes.get(id) ?? [])];
      const base = { id, op: 'remove' as const, why, drift: false, durationMs };
      const error = failures.get(id);
      if (error) run.log.error({ resource: id, code: error.code }, error.message);
      const record: ActionRecord = error
        ? { ...base, result: 'failed', error: { code: error.code, message: error.message } }
        : { ...base, op: staying.has(id) ? 'release' : 'remove', result: 'done' };
      records.push(record);
      run.io.emit({ type: 'action', action: record });
    }
  }
  return records;
}

/** Groups neighbours whose provider removes many at once; the others stay alone. */
function batches(run: Run, gone: readonly Gone[]): Gone[][] {
  const all: Gone[][] = [];
  for (const one of gone) {
    const last = all.at(-1);
    const kind = kindOf(one.id);
    const isMany = run.providers.get(kind)?.together?.includes('remove') === true;
    if (isMany && last?.[0] && kindOf(last[0].id) === kind && last.length < TOGETHER) last.push(one);
    else all.push([one]);
  }
  return all;
}

async function removeBatch(
  provider: Provider | undefined,
  batch: readonly Gone[],
  report: RemovalReport,
  signal: AbortSignal,
): Promise<ReadonlyMap<ResourceId, AgentError>> {
  try {
    return (await provider?.remove(batch, signal, report)) ?? new Map();
  } catch (thrown) {
    const error = (resource: ResourceId) => asAgentError(thrown, { code: 'RemoveFailed', phase: 'apply', resource });
    return new Map(batch.map(({ id }) => [id, error(id)]));
  }
}
