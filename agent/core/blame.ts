/** Whose fault a failure is, and what the failures of a commit come to. Pure: codes and evidence decide, never words. */
import { type Fault, type ReasonCode, reasonOf } from '../../manifests-schema/reasons.ts';

/** A failure, with what is known in favour of the commit under which it happened. */
export interface Failure {
  code: ReasonCode;
  /** It failed while it was being removed: no declaration of the commit asks for it. */
  isRemoval?: boolean;
  /** It, or what it waited for, was unwell before the commit began. */
  wasUnwell?: boolean;
}

/** What is the commit's own by its code is the host's where the commit has nothing to do with it. */
export function faultOf({ code, isRemoval, wasUnwell }: Failure): Fault {
  const { fault } = reasonOf(code);
  return fault === 'commit' && (isRemoval || wasUnwell) ? 'host' : fault;
}

/** What a commit came to. `partly`: it did its own part, and the rest needs a hand on this host. */
export type Proof = 'well' | 'partly' | 'unwell' | 'open';

export interface Weighed {
  /** Of each failure. */
  faults: readonly Fault[];
  /** The run was told to end, or made way for another one. */
  stopped: boolean;
  /** Everything that was planned was done or failed, and nothing is still on its way. */
  isWhole: boolean;
}

/** An outage says nothing about the commit; and as long as one lasts, nothing else does. */
export function weigh({ faults, stopped, isWhole }: Weighed): Proof {
  if (stopped || faults.includes('wait')) return 'open';
  if (faults.includes('commit')) return 'unwell';
  if (!isWhole) return 'open';
  return faults.length > 0 ? 'partly' : 'well';
}
