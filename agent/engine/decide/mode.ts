/** How a pass treats the host, as facts that the stages ask for. */

export interface Mode {
  /** Something may be done to the host. */
  acts: boolean;
  /** The commit is not accepted yet: it can be rejected, its removals are counted, it must prove itself. */
  isNew: boolean;
  /** Image tags that moved are pulled again where that is due. */
  renews: boolean;
  /** Jobs run even if they do not say that they run on the way back. */
  runsJobs: boolean;
  /** A wait for things to settle ends early if somebody asks for another run. */
  givesWay: boolean;
}

/** A commit that is not accepted yet. */
export const TRY: Mode = { acts: true, isNew: true, renews: true, runsJobs: true, givesWay: true };
/** The accepted commit. */
export const REPAIR: Mode = { acts: true, isNew: false, renews: true, runsJobs: true, givesWay: true };
/** An earlier commit that the host stays on. */
export const STAY: Mode = { acts: true, isNew: false, renews: false, runsJobs: false, givesWay: true };
/** Back from a commit that did not settle: what comes next builds on its end, so only a stop of the agent ends it early. */
export const WAY_BACK: Mode = { acts: true, isNew: false, renews: false, runsJobs: false, givesWay: false };
/** Nothing is touched. */
export const LOOK: Mode = { acts: false, isNew: false, renews: false, runsJobs: true, givesWay: true };
