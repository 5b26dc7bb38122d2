/**
 * An action counts as done only if its effect is visible: if the same difference remains, the action failed, whatever its
 * provider answered.
 */
import { kindOf } from '../../core/id.ts';
import { traitsOf } from '../../core/kind.ts';
import type { Step } from '../../core/plan/plan.ts';
import type { Health } from '../../core/provider.ts';
import type { ActionRecord, Reason, ResourceId } from '../../core/types.ts';
import type { Run } from '../types.ts';
import { indexed, observe } from './observe.ts';

/**
 * Observes updated resources once more. A created or recreated resource exists now, and is judged by its health.
 * @param health of what was changed: an unwell resource already has its own failure
 * @returns the records; those without an effect are failures
 */
export async function withSeenEffects(
  run: Run,
  steps: readonly Step[],
  records: readonly ActionRecord[],
  health: ReadonlyMap<ResourceId, Health>,
): Promise<ActionRecord[]> {
  const updated = new Set(records.filter((r) => r.op === 'update' && r.result === 'done').map((r) => r.id));
  const acted = steps.filter(
    ({ want: { id } }) => updated.has(id) && traitsOf(run.kinds, id).drifts && (health.get(id)?.state ?? 'ok') === 'ok',
  );
  if (acted.length === 0 || run.io.signal.aborted) return [...records];
  const wants = acted.map(({ want }) => want);
  const ids = wants.map(({ id }) => id);
  const { seen } = await observe(run.providers, ids, run.io.signal, indexed(wants));
  const vain = new Map(acted.flatMap((step) => unchanged(run, step, seen) ?? []));
  return records.map((record) => {
    const why = vain.get(record.id);
    if (why === undefined || record.result !== 'done') return record;
    const said = why.map(({ field, from, to }) => `${field} is ${from ?? 'as before'}, not ${to ?? 'as declared'}`);
    const message = `the change had no effect: ${said.join('; ')}; something on this host changes it back, or it cannot be changed`;
    run.log.error({ resource: record.id, code: 'NoEffect' }, message);
    return { ...record, result: 'failed', error: { code: 'NoEffect', message } };
  });
}

/** The reasons of the change, if each of them still holds with the same values. */
function unchanged(
  { kinds, providers }: Run,
  { want, change, seen: before }: Step,
  seen: Awaited<ReturnType<typeof observe>>['seen'],
): [ResourceId, readonly Reason[]][] | null {
  const now = seen.get(want.id);
  if (change.op === 'none' || now === undefined || before === undefined) return null;
  const mark = { hash: want.hash, intent: want.hash, memo: before.mark?.memo };
  const after = providers.get(kindOf(want.id))?.diff(want, { ...now, mark });
  if (after === undefined || after.op === 'none') return null;
  const stands = new Set(after.why.map((reason) => JSON.stringify([reason.field, reason.from, reason.to])));
  const told = traitsOf(kinds, want.id).toldByHealth ?? [];
  const acted = change.why.filter(({ field }) => !told.includes(field));
  if (acted.length === 0) return null;
  const isSame = acted.every(({ field, from, to }) => stands.has(JSON.stringify([field, from, to])));
  return isSame ? [[want.id, change.why]] : null;
}
