/** How long resources may take to settle, and how long a failure waits for its next try. */
import { durationMs } from '../../../manifests-schema/duration.ts';
import type { SettleTimes } from '../../core/plan/patience.ts';
import type { Step } from '../../core/plan/plan.ts';
import type { ActionRecord, ResourceId } from '../../core/types.ts';
import { AgentError } from '../../errors.ts';
import type { Failures } from '../steps/apply.ts';
import { stillFailing } from '../steps/backoff.ts';
import type { Loaded, Run } from '../types.ts';

/** Everything that is started now gets its full patience. */
export function beginPatience({ store, clock }: Run, work: readonly Step[]): void {
  if (work.length === 0) return;
  const known = store.facts.get('patience') ?? {};
  const since = clock.now().getTime();
  const begun = work.map(({ want: { id }, change, seen }) => {
    const isFirst = known[id]?.isFirst === true || (change.op === 'create' && !seen?.mark?.hash);
    return [id, { waitedMs: 0, since, ...(isFirst ? { isFirst } : {}) }];
  });
  store.facts.set({ patience: { ...known, ...Object.fromEntries(begun) } });
}

/** `settle` of host.yaml. */
export function settleTimes({ host: { settle } }: Loaded): SettleTimes {
  const patience = settle?.patience;
  return {
    timeoutMs: durationMs(settle?.timeout ?? '5m'),
    patienceMs: patience === undefined ? undefined : durationMs(patience),
  };
}

/** Failures that are not tried again yet. A new commit and a manual sync try everything. */
export function backedOff(run: Run, work: readonly Step[]): Failures {
  const held: Failures = new Map();
  for (const { want } of work) {
    const found = run.backoff.held(want.id, want.hash);
    if (found !== null) held.set(want.id, stillFailing(found));
  }
  return held;
}

/** A failure waits longer the next time; a success resets its count. */
export function noteFailures(
  { backoff }: Run,
  steps: readonly Step[],
  records: ReadonlyMap<ResourceId, ActionRecord>,
  failures: Failures,
): void {
  for (const { want } of steps) {
    const record = records.get(want.id);
    if (record?.result === 'done') backoff.well(want.id);
    if (record?.result !== 'failed' || record.error === undefined || record.until !== undefined) continue;
    const { code, message } = record.error;
    const error = failures.get(want.id) ?? new AgentError({ code, phase: 'apply', message });
    if (code !== 'Stopped') backoff.failed(want.id, want.hash, error);
  }
}
