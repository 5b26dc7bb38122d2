/** How a pass treats the host, as facts that the stages query. */

export interface Mode {
  /** The pass may change the host. */
  acts: boolean;
  /** The commit is not accepted yet: it can be rejected, its removals are counted, and it must prove itself. */
  isNew: boolean;
  /** Image tags that moved are pulled again if that is due. */
  renews: boolean;
  /** Jobs run even if their declaration does not ask for runs at a rollback. */
  runsJobs: boolean;
  /** Waiting for settle ends early if another run is requested. */
  givesWay: boolean;
}

/** Try a commit that is not accepted yet. */
export const TRY: Mode = { acts: true, isNew: true, renews: true, runsJobs: true, givesWay: true };
/** Repair the accepted commit. */
export const REPAIR: Mode = { acts: true, isNew: false, renews: true, runsJobs: true, givesWay: true };
/** Stay on an earlier commit. */
export const STAY: Mode = { acts: true, isNew: false, renews: false, runsJobs: false, givesWay: true };
/**
 * Roll back from a commit that did not settle. The next steps depend on the result, so only a stop of the agent ends it early.
 */
export const ROLLBACK: Mode = { acts: true, isNew: false, renews: false, runsJobs: false, givesWay: false };
/** Only observe; change nothing. */
export const LOOK: Mode = { acts: false, isNew: false, renews: false, runsJobs: true, givesWay: true };
