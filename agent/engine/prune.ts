/** Removes what fairlead made and no manifest declares any more. */
import { kindOf } from '../core/graph.ts';
import type { Removal } from '../core/plan.ts';
import type { ActionRecord } from '../core/types.ts';
import { asAgentError } from '../errors.ts';
import type { EngineDeps, RunRequest } from './types.ts';

/** One after the other, in the plan's order. The inventory row goes only after a confirmed removal. */
export async function prune(
  deps: EngineDeps,
  removals: readonly Removal[],
  request: RunRequest,
): Promise<ActionRecord[]> {
  const records: ActionRecord[] = [];
  for (const { id, seen } of removals) {
    if (request.signal.aborted) break;
    if (seen === undefined) {
      deps.store.inventory.forget(id);
      continue;
    }
    const began = deps.clock.now().getTime();
    const base = { id, op: 'remove' as const, why: [{ field: 'declaration', to: 'gone' }], drift: false };
    try {
      await deps.providers.get(kindOf(id))?.remove(id, seen, request.signal);
      deps.store.inventory.forget(id);
      records.push({ ...base, result: 'done', durationMs: deps.clock.now().getTime() - began });
    } catch (thrown) {
      const error = asAgentError(thrown, { code: 'RemoveFailed', phase: 'apply', resource: id, retry: true });
      deps.log.error({ resource: id, code: error.code }, error.message);
      const durationMs = deps.clock.now().getTime() - began;
      records.push({ ...base, result: 'failed', durationMs, error: { code: error.code, message: error.message } });
    }
    const last = records.at(-1);
    if (last) request.emit({ type: 'action', action: last });
  }
  return records;
}
