/** Applies steps of a plan to the host; the result of each is a record, never a throw. */
import { kindOf } from '../../core/id.ts';
import type { Step } from '../../core/plan/plan.ts';
import type { Work } from '../../core/provider.ts';
import type { ActionRecord, Desired, Reason, ResourceId } from '../../core/types.ts';
import { type AgentError, asAgentError } from '../../errors.ts';
import type { Run } from '../types.ts';

/** A step that takes no longer than this is not announced; in ms. */
const LONG_MS = 900_000;

/** Announces a step that may take long before it starts, so that the watchdog knows how long the run may be silent. */
function announce({ providers, io }: Run, steps: readonly Step[]): void {
  for (const { want } of steps) {
    const withinMs = providers.get(kindOf(want.id))?.lastsMs?.(want.spec) ?? 0;
    if (withinMs > LONG_MS) io.emit({ type: 'phase', phase: 'apply', detail: want.id, withinMs });
  }
}

export const workOf = ({ change, want, seen }: Step): Work => ({ change, want, seen });

/** Whether the step can be applied together with others: it restarts nothing itself, and its kind applies many at once. */
export const joins = (run: Run, { want, refreshFor }: Step): boolean =>
  refreshFor.length === 0 &&
  !waits(run, want) &&
  run.providers.get(kindOf(want.id))?.together?.includes('apply') === true;

/** Whether the run may go on without waiting for it. */
export const waits = ({ providers }: Run, { id, spec }: Desired): boolean =>
  providers.get(kindOf(id))?.waits?.(spec) === true;

/** The same for a step that a run need not wait for; this run or an earlier one started it. */
export async function carryOutInBackground(run: Run, step: Step, signal: AbortSignal): Promise<ActionRecord[]> {
  const { id, hash, spec } = step.want;
  const now = run.clock.now().getTime();
  const lastsMs = run.providers.get(kindOf(id))?.lastsMs?.(spec);
  const record = await run.background.begin({
    id,
    hash,
    since: new Date(now).toISOString(),
    until: lastsMs === undefined ? null : new Date(now + lastsMs).toISOString(),
    act: async () => (await carryOut(run, [step], signal))[0] ?? null,
  });
  return record === null ? [] : [record];
}

/**
 * Applies steps of one kind in one call, and then the restarts of which they were notified. Each step is recorded with an equal
 * share of the time.
 */
export async function carryOut(run: Run, steps: readonly Step[], signal: AbortSignal): Promise<ActionRecord[]> {
  const [first] = steps;
  const provider = first && run.providers.get(kindOf(first.want.id));
  announce(run, steps);
  const began = run.clock.monotonic();
  const notes = new Map<ResourceId, Reason[]>(steps.map(({ want }) => [want.id, []]));
  const reportOf = (id: ResourceId) => (note: Reason) => void notes.get(id)?.push(note);
  const work = steps
    .filter(({ change }) => change.op !== 'none')
    .map((step) => ({ ...workOf(step), report: reportOf(step.want.id) }));
  const errors = new Map<ResourceId, AgentError>();
  const fail = (id: ResourceId, thrown: unknown) =>
    errors.set(id, asAgentError(thrown, { code: 'ApplyFailed', phase: 'apply', resource: id }));
  try {
    if (work.length > 0) for (const [id, error] of (await provider?.apply(work, signal)) ?? []) errors.set(id, error);
  } catch (thrown) {
    for (const { want } of work) fail(want.id, thrown);
  }
  for (const { want, refreshFor, refreshVerb } of steps) {
    if (refreshFor.length === 0 || errors.has(want.id)) continue;
    try {
      await provider?.refresh?.(want, signal, refreshVerb, reportOf(want.id), refreshFor);
    } catch (thrown) {
      fail(want.id, thrown);
    }
  }
  const share = Math.round((run.clock.monotonic() - began) / steps.length);
  return steps.map((step) => {
    const { id } = step.want;
    const error = errors.get(id);
    if (error) run.log.error({ resource: id, code: error.code }, error.message);
    return actionRecord(step, error ? 'failed' : 'done', share, error, notes.get(id));
  });
}

/** The record of a step in history. @param notes what its provider reported while it acted */
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
    ...(error?.until ? { until: error.until } : {}),
  };
}
