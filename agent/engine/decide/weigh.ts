/** Evidence of a run → who caused each failure, and the verdict on the commit. Pure. */
import { type Fault, type ReasonCode, reasonOf } from '../../../manifests-schema/reasons.ts';
import { requirements, withNeeded } from '../../core/order/graph.ts';
import { faultOf, type Proof, weigh } from '../../core/plan/blame.ts';
import type { Health } from '../../core/provider.ts';
import type { ActionRecord, Desired, ResourceId } from '../../core/types.ts';
import type { Away } from '../types.ts';

export interface Blame {
  /** Whose fault it is that a resource failed with this code. */
  (id: ResourceId, code: ReasonCode, op?: ActionRecord['op']): Fault;
  /** A resource and all that it needs, directly or indirectly. */
  needs(id: ResourceId): ReadonlySet<ResourceId>;
}

/** Codes of a failure that another resource may have caused. */
const OF_ANOTHER: readonly ReasonCode[] = ['DependencyNotReady'];

/** @param unwell resources that were unwell before the commit began */
export function createBlame(wants: readonly Desired[], unwell: ReadonlySet<ResourceId>): Blame {
  let needed: ReturnType<typeof requirements> | null = null;
  const needs = (id: ResourceId): ReadonlySet<ResourceId> => {
    needed ??= requirements(wants);
    return withNeeded([id], needed);
  };
  const needsUnwell = (id: ResourceId) => unwell.size > 0 && [...needs(id)].some((one) => unwell.has(one));
  const blame = (id: ResourceId, code: ReasonCode, op?: ActionRecord['op']): Fault =>
    faultOf({
      code,
      isRemoval: op === 'remove',
      wasUnwell: unwell.has(id) || (OF_ANOTHER.includes(code) && needsUnwell(id)),
    });
  return Object.assign(blame, { needs });
}

export interface RunEvidence {
  blame: Blame;
  records: readonly ActionRecord[];
  /** Health of everything that was changed, by this run or by an earlier one that did not see it become well. */
  settled: ReadonlyMap<ResourceId, Health>;
  /** Resources that could not be observed. */
  away: Away;
  stopped: boolean;
  /** A planned action was not started, or its result is unknown. */
  unfinished: boolean;
}

/** The fault of each failed observation and action. Blocked actions are left out: another failure caused them. */
export const faultsOf = ({ records, blame, away }: Pick<RunEvidence, 'records' | 'blame' | 'away'>): Fault[] => [
  // An observation that failed proves nothing against the commit.
  ...[...away.values()].map(({ code }): Fault => (reasonOf(code).fault === 'host' ? 'host' : 'wait')),
  ...records.filter(isOfItsOwn).map((r) => blame(r.id, r.error?.code ?? 'ApplyFailed', r.op)),
];

const isOfItsOwn = ({ result, error }: ActionRecord): boolean =>
  result === 'failed' && !OF_ANOTHER.includes(error?.code ?? 'ApplyFailed');

/**
 * Whether it waited for something that this run settles. Then only that counts, and the action is tried again if it becomes
 * well.
 */
const followsAnother = ({ blame, settled }: RunEvidence, record: ActionRecord): boolean =>
  [...blame.needs(record.id)].some((id) => settled.has(id));

export function weighRun(evidence: RunEvidence): Proof {
  const { blame, records, settled, stopped, unfinished } = evidence;
  const unwell = [...settled].filter(([, { state }]) => state === 'bad');
  const waiters = records.filter((r) => r.result === 'failed' && !isOfItsOwn(r));
  const alone = waiters.filter((r) => !followsAnother(evidence, r));
  const faults = [
    ...faultsOf(evidence),
    ...alone.map((r) => blame(r.id, r.error?.code ?? 'ApplyFailed', r.op)),
    ...unwell.map(([id, { code }]) => blame(id, code ?? 'Unhealthy')),
  ];
  const isBlocked =
    faults.length === 0 && (waiters.length > alone.length || records.some((r) => r.result === 'blocked'));
  const isWaiting = [...settled.values()].some(({ state }) => state === 'wait');
  return weigh({ faults, stopped, isWhole: !unfinished && !isBlocked && !isWaiting });
}
