/** What changes outside of the repository, such as an image whose tag was moved: fetched before a full run plans. */
import { kindOf } from '../../core/graph.ts';
import type { Plan } from '../../core/plan.ts';
import type { Progress } from '../../core/provider.ts';
import type { ActionRecord } from '../../core/types.ts';
import { asAgentError } from '../../errors.ts';
import type { EngineDeps, Loaded, RunRequest } from '../types.ts';
import { type Failures, isWork } from './apply.ts';
import { windowAt } from './window.ts';

/**
 * Disturbs nothing itself, but what it brings is applied in the same run: so it waits for the maintenance window.
 * @param fresh a new commit is being tried
 */
export async function renew(
  deps: EngineDeps,
  { host, resources }: Loaded,
  fresh: boolean,
  request: RunRequest,
): Promise<Failures> {
  const failures: Failures = new Map();
  if (host.mode === 'observe' || host.decommission) return failures;
  if (host.window && !request.force && !windowAt(host.window, deps.clock.now()).open) return failures;
  let told = false;
  const tell = (progress: Progress) => {
    if (!told) request.emit({ type: 'phase', phase: 'prepare' });
    told = true;
    request.emit({ type: 'progress', ...progress });
  };
  const asked = fresh || request.trigger === 'manual';
  // Of what is only looked at nothing is fetched.
  const ours = resources.filter((r) => r.mode !== 'observe');
  for (const [kind, wants] of Map.groupBy(ours, (r) => kindOf(r.id))) {
    try {
      const found = await deps.providers.get(kind)?.renew?.(wants, asked, request.signal, tell);
      // What was seen before is not what is to be seen now.
      if (found) request.ahead?.drop();
      for (const [id, error] of found ?? []) failures.set(id, error);
    } catch (thrown) {
      request.ahead?.drop();
      // Whoever cannot be reached now cannot be observed either, which is told there.
      const { code, message } = asAgentError(thrown, { code: 'PrepareFailed', phase: 'prepare' });
      deps.log.warn({ code }, message);
    }
  }
  return failures;
}

/** What could not be renewed, and has nothing else to be done: it stays as it is, and that is told. */
export function notRenewed({ steps }: Plan, stale: Failures, { emit }: RunRequest): ActionRecord[] {
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
    emit({ type: 'action', action: record });
    return [record];
  });
}
