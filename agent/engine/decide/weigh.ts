/** Evidence of a run → whose fault each failure is, and what they come to together. Pure. */
import type { Fault, ReasonCode } from '../../../manifests-schema/reasons.ts';
import { faultOf, type Proof, weigh } from '../../core/blame.ts';
import { requirements, withNeeded } from '../../core/graph.ts';
import type { Health } from '../../core/provider.ts';
import type { ActionRecord, Desired, ResourceId } from '../../core/types.ts';

export interface Blame {
  /** Whose fault it is that a resource failed in this way. */
  (id: ResourceId, code: ReasonCode, op?: ActionRecord['op']): Fault;
  /** All that a resource needs, directly or not, and itself. */
  needs(id: ResourceId): ReadonlySet<ResourceId>;
}

/** Failures of these codes may be those of something else that was waited for. */
const OF_ANOTHER: readonly ReasonCode[] = ['DependencyNotReady'];

/** @param unwell what was unwell before the commit began */
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
  /** Of what was changed, now or by an earlier run that did not see it well. */
  settled: ReadonlyMap<ResourceId, Health>;
  /** Resources whose kind is out of reach. */
  away: ReadonlySet<ResourceId>;
  stopped: boolean;
  /** Something that was planned was not even begun, or it is not known what it came to. */
  unfinished: boolean;
}

/** Whose fault the failed actions are. Those that were blocked say nothing of their own. */
export const faultsOf = ({ records, blame }: Pick<RunEvidence, 'records' | 'blame'>): Fault[] =>
  records.filter(isOfItsOwn).map((r) => blame(r.id, r.error?.code ?? 'ApplyFailed', r.op));

const isOfItsOwn = ({ result, error }: ActionRecord): boolean =>
  result === 'failed' && !OF_ANOTHER.includes(error?.code ?? 'ApplyFailed');

/** It waited for something that this run settles: that alone decides, and it is tried again if that becomes well. */
const followsAnother = ({ blame, settled }: RunEvidence, record: ActionRecord): boolean =>
  [...blame.needs(record.id)].some((id) => settled.has(id));

export function weighRun(evidence: RunEvidence): Proof {
  const { blame, records, settled, away, stopped, unfinished } = evidence;
  const unwell = [...settled].filter(([, { state }]) => state === 'bad');
  const waiters = records.filter((r) => r.result === 'failed' && !isOfItsOwn(r));
  const alone = waiters.filter((r) => !followsAnother(evidence, r));
  const faults = [
    ...faultsOf(evidence),
    ...alone.map((r) => blame(r.id, r.error?.code ?? 'ApplyFailed', r.op)),
    ...unwell.map(([id, { code }]) => blame(id, code ?? 'Unhealthy')),
    ...(away.size > 0 ? (['wait'] as const) : []),
  ];
  const isBlocked =
    faults.length === 0 && (waiters.length > alone.length || records.some((r) => r.result === 'blocked'));
  const isWaiting = [...settled.values()].some(({ state }) => state === 'wait');
  return weigh({ faults, stopped, isWhole: !unfinished && !isBlocked && !isWaiting });
}
