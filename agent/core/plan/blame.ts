/**
 * Whether the commit, the host or an outage caused a failure, and the verdict on a commit from all of its failures. Pure: it
 * decides by codes and evidence, never by messages.
 */
import { type Fault, type ReasonCode, reasonOf } from '../../../manifests-schema/reasons.ts';

/** A failure, with the evidence in favour of the commit under which it happened. */
export interface Failure {
  code: ReasonCode;
  /** It failed while it was being removed, so no declaration of the commit asks for it. */
  isRemoval?: boolean;
  /** The resource, or one that it waited for, was unwell before the commit began. */
  wasUnwell?: boolean;
}

/** A code that blames the commit blames the host instead if the commit did not cause the failure. */
export function faultOf({ code, isRemoval, wasUnwell }: Failure): Fault {
  const { fault } = reasonOf(code);
  return fault === 'commit' && (isRemoval || wasUnwell) ? 'host' : fault;
}

/** The verdict on a commit. `partly`: all that the commit changed is well, and the rest needs an operator on this host. */
export type Proof = 'well' | 'partly' | 'unwell' | 'open';

export interface Weighed {
  /** The fault of each failure. */
  faults: readonly Fault[];
  /** The run was cancelled, or gave way to another run. */
  stopped: boolean;
  /** Every planned action is done or has failed, and nothing is still in progress. */
  isWhole: boolean;
}

/** An outage proves nothing about the commit; while it lasts, the verdict stays open. */
export function weigh({ faults, stopped, isWhole }: Weighed): Proof {
  if (stopped || faults.includes('wait')) return 'open';
  if (faults.includes('commit')) return 'unwell';
  if (!isWhole) return 'open';
  return faults.length > 0 ? 'partly' : 'well';
}
