/** What speaks for or against a commit, as a run finds it out. */
import { reasonOf } from '../../../manifests-schema/reasons.ts';
import { kindOf } from '../../core/id.ts';
import type { Plan, Removal, Step } from '../../core/plan.ts';
import type { Health } from '../../core/provider.ts';
import { problemsOf } from '../../core/target.ts';
import type { ActionRecord, ResourceId } from '../../core/types.ts';
import type { AgentError } from '../../errors.ts';
import type { Run } from '../types.ts';

/** What cannot be prepared since the commit itself is wrong, as opposed to an outage, or to what this host lacks. */
export const isOwnMistake = (error: AgentError | undefined): boolean =>
  error !== undefined && reasonOf(error.code).fault === 'commit';

/** What may be on its way to a new name: as long as a new one of its kind cannot be made, nothing old of that kind goes. */
export function replacedBy(records: readonly ActionRecord[], removals: readonly Removal[]): ReadonlySet<ResourceId> {
  const missing = new Set(records.filter((r) => r.op === 'create' && r.result !== 'done').map((r) => kindOf(r.id)));
  return new Set(removals.map(({ id }) => id).filter((id) => missing.has(kindOf(id))));
}

/**
 * What is unwell by the declaration that the host went by until now: whatever becomes of it, this commit did not break it.
 * What spoke against the same content at its last try was broken by that, if going back did not make it well again.
 * @param content hash of all that the commit would make this host
 */
export function unwellBefore(
  run: Run,
  content: string,
  { steps }: Plan,
  health: ReadonlyMap<ResourceId, Health>,
): ResourceId[] {
  const { silenced } = run.store.commits.get();
  const isAgain = silenced?.content === content && silenced.failed !== undefined;
  const broken = new Set(isAgain ? problemsOf(silenced.culprit).map(({ id }) => id) : []);
  const declared = run.scratch.former?.byId();
  const isUnwell = ({ want: { id }, seen, change }: Step): boolean => {
    if (seen === undefined || broken.has(id)) return false;
    const before = declared?.get(id);
    const one = before ? run.providers.get(kindOf(id))?.health(before, seen) : health.get(id);
    if (one?.state !== 'bad' || reasonOf(one.code ?? 'Unhealthy').fault === 'wait') return false;
    // What this commit starts for the first time was not broken before.
    return before !== undefined || change.op === 'none' || !change.why.some(({ field }) => field === 'state');
  };
  return steps.filter(isUnwell).map(({ want }) => want.id);
}
