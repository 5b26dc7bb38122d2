/** Steps of a plan, done to the host: what came of each is a record, never a throw. */
import { kindOf } from '../../core/id.ts';
import type { Step } from '../../core/plan.ts';
import type { Work } from '../../core/provider.ts';
import type { ActionRecord, Reason, ResourceId } from '../../core/types.ts';
import { type AgentError, asAgentError } from '../../errors.ts';
import type { Run } from '../types.ts';

export const workOf = ({ change, want, seen }: Step): Work => ({ change, want, seen });

/** No restart of its own hangs on it, and its kind does many at once. */
export const joins = ({ providers }: Run, { want, refreshFor }: Step): boolean =>
  refreshFor.length === 0 && providers.get(kindOf(want.id))?.applyAll !== undefined;

/** Steps of one kind in one go; each is told to have taken its share of the time. */
export async function carryOutAll(run: Run, steps: readonly Step[], signal: AbortSignal): Promise<ActionRecord[]> {
  const began = run.clock.monotonic();
  const notes = steps.map((): Reason[] => []);
  const work = steps.map((step, i) => ({ ...workOf(step), report: (note: Reason) => void notes[i]?.push(note) }));
  const errors = new Map<ResourceId, AgentError>();
  try {
    const [first] = steps;
    const provider = first && run.providers.get(kindOf(first.want.id));
    for (const [id, error] of (await provider?.applyAll?.(work, signal)) ?? []) errors.set(id, error);
  } catch (thrown) {
    const error = asAgentError(thrown, { code: 'ApplyFailed', phase: 'apply' });
    for (const { want } of steps) errors.set(want.id, error);
  }
  const share = Math.round((run.clock.monotonic() - began) / steps.length);
  return steps.map((step, i) => {
    const error = errors.get(step.want.id);
    if (error) run.log.error({ resource: step.want.id, code: error.code }, error.message);
    return actionRecord(step, error ? 'failed' : 'done', share, error, notes[i]);
  });
}

/** One step: apply, confirm, then the restarts it was notified of. */
export async function carryOut(run: Run, step: Step, signal: AbortSignal): Promise<ActionRecord> {
  const { want, change, refreshFor } = step;
  const provider = run.providers.get(kindOf(want.id));
  const began = run.clock.monotonic();
  const took = () => run.clock.monotonic() - began;
  const notes: Reason[] = [];
  const report = (note: Reason) => void notes.push(note);
  try {
    if (change.op !== 'none') await provider?.apply({ ...workOf(step), report }, signal);
    if (refreshFor.length > 0) await provider?.refresh?.(want, signal, step.refreshVerb, report);
    return actionRecord(step, 'done', took(), undefined, notes);
  } catch (thrown) {
    const error = asAgentError(thrown, { code: 'ApplyFailed', phase: 'apply', resource: want.id });
    run.log.error({ resource: want.id, code: error.code }, error.message);
    return actionRecord(step, 'failed', took(), error, notes);
  }
}

/** What history keeps of a step. @param notes what its provider reported while it acted */
export function actionRecord(
  step: Step,
  result: ActionRecord['result'],
  durationMs: number,
  error?: AgentError,
  notes: readonly Reason[] = [],
): ActionRecord {
  const { want, change, drift, refreshFor } = step;
  const refresh = change.op === 'none';
  return {
    id: want.id,
    op: refresh && refreshFor.length > 0 ? 'refresh' : change.op,
    why: [...(refresh ? refreshFor.map((id) => ({ field: 'notify', to: id })) : change.why), ...notes],
    result,
    drift,
    durationMs,
    ...(error ? { error: { code: error.code, message: error.message } } : {}),
  };
}
