/** Fetches changes from outside of the repository, such as an image whose tag was moved, before a full run plans. */
import { kindOf } from '../../core/id.ts';
import type { Plan } from '../../core/plan/plan.ts';
import type { Progress } from '../../core/provider.ts';
import type { ActionRecord, Desired, ResourceId } from '../../core/types.ts';
import { type AgentError, asAgentError } from '../../errors.ts';
import type { Loaded, Run } from '../types.ts';
import { type Failures, isWork } from './apply.ts';
import { renewalOf, stillFailing } from './backoff.ts';
import { windowNow } from './window.ts';

/**
 * Disturbs nothing itself, but what it fetches is applied in the same run, so it waits for the maintenance window.
 * @param isNew a new commit is being tried
 */
export async function renew(run: Run, { host, resources }: Loaded, { isNew }: { isNew: boolean }): Promise<Failures> {
  const failures: Failures = new Map();
  if (host.mode === 'observe' || host.decommission) return failures;
  if (host.window && !run.asked.force && !(await windowNow(run, host.window)).open) return failures;
  let told = false;
  const tell = (progress: Progress) => {
    if (!told) run.io.emit({ type: 'phase', phase: 'prepare' });
    told = true;
    run.io.emit({ type: 'progress', ...progress });
  };
  const asked = isNew || run.asked.trigger === 'manual';
  // Nothing is fetched for resources that are only observed.
  const ours = resources.filter((r) => {
    const held = run.backoff.held(renewalOf(r.id), r.hash);
    if (held !== null) failures.set(r.id, stillFailing(held));
    return r.mode !== 'observe' && held === null;
  });
  for (const [kind, wants] of Map.groupBy(ours, (r) => kindOf(r.id))) {
    try {
      const found = await run.providers.get(kind)?.renew?.(wants, { asked, signal: run.io.signal, tell });
      // The earlier observation is outdated.
      if (found) run.scratch.prefetched?.drop();
      if (found) noteRenewals(run, wants, found);
      for (const [id, error] of found ?? []) failures.set(id, error);
    } catch (thrown) {
      run.scratch.prefetched?.drop();
      // An unreachable kind cannot be observed either, and that is reported there.
      const { code, message } = asAgentError(thrown, { code: 'PrepareFailed', phase: 'prepare' });
      run.log.warn({ code }, message);
    }
  }
  return failures;
}

function noteRenewals({ backoff }: Run, wants: readonly Desired[], found: ReadonlyMap<ResourceId, AgentError>): void {
  for (const { id, hash } of wants) {
    const error = found.get(id);
    if (error === undefined) backoff.well(renewalOf(id));
    else if (error.code !== 'Stopped') backoff.failed(renewalOf(id), hash, error);
  }
}

/** Records for resources that could not be renewed and have no other work: they stay as they are, and that is reported. */
export function notRenewed({ io }: Run, { steps }: Plan, stale: Failures): ActionRecord[] {
  return steps.flatMap((step): ActionRecord[] => {
    const error = stale.get(step.want.id);
    if (error === undefined || isWork(step)) return [];
    const record: ActionRecord = {
      id: step.want.id,
      op: 'update',
      why: [{ field: 'pull_policy', to: 'is due' }],
      result: 'failed',
      drift: false,
      durationMs: 0,
      error: { code: error.code, message: error.message },
    };
    io.emit({ type: 'action', action: record });
    return [record];
  });
}
