/** Evidence for or against a commit that a run finds. */
import { reasonOf } from '../../../../manifests-schema/reasons.ts';
import { kindOf } from '../../../core/id.ts';
import type { Plan, Removal, Step } from '../../../core/plan/plan.ts';
import { problemsOf } from '../../../core/plan/target.ts';
import type { Health } from '../../../core/provider.ts';
import type { ActionRecord, ResourceId } from '../../../core/types.ts';
import type { AgentError } from '../../../errors.ts';
import type { Run } from '../../types.ts';

/** Whether preparing failed because the commit itself is wrong, not because of an outage or something missing on this host. */
export const isOwnMistake = (error: AgentError | undefined): boolean =>
  error !== undefined && reasonOf(error.code).fault === 'commit';

/** A resource may have been renamed: as long as a new one of its kind cannot be created, no old one of that kind is removed. */
export function replacedBy(records: readonly ActionRecord[], removals: readonly Removal[]): ReadonlySet<ResourceId> {
  const missing = new Set(records.filter((r) => r.op === 'create' && r.result !== 'done').map((r) => kindOf(r.id)));
  return new Set(removals.map(({ id }) => id).filter((id) => missing.has(kindOf(id))));
}

/**
 * Resources that are unwell under the declaration that the host followed until now: this commit did not break them. A resource
 * that the same content broke at its last try, and that the rollback did not make well again, does not count.
 * @param content hash of the desired state under the commit
 * @param begun resources that were unwell before an earlier trial that did not end; null if there was none. That trial changed
 * the host, so what became unwell since does not excuse the next commit, which may well say the same
 */
export function unwellBeforeTrial(
  run: Run,
  content: string,
  { steps }: Plan,
  health: ReadonlyMap<ResourceId, Health>,
  begun: readonly ResourceId[] | null,
): ResourceId[] {
  const { postponed } = run.store.commits.get();
  const isAgain = postponed?.content === content && postponed.failed !== undefined;
  const broken = new Set(isAgain ? problemsOf(postponed.culprit).map(({ id }) => id) : []);
  const declared = run.scratch.former?.byId();
  const isUnwell = ({ want: { id }, seen, change }: Step): boolean => {
    const before = declared?.get(id);
    const one = before ? run.providers.get(kindOf(id))?.health(before, seen) : health.get(id);
    if (broken.has(id)) return false;
    // It may be progressing just now; only a resource that is well was broken later.
    if (begun !== null) return begun.includes(id) && one?.state !== 'ok';
    if (seen === undefined) return false;
    if (one?.state !== 'bad' || reasonOf(one.code ?? 'Unhealthy').fault === 'wait') return false;
    // A resource that this commit starts for the first time was not broken before.
    return before !== undefined || change.op === 'none' || !change.why.some(({ field }) => field === 'state');
  };
  return steps.filter(isUnwell).map(({ want }) => want.id);
}
