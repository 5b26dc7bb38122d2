/** How much of what a server sends is taken: each object, and all of them together. */
import { AgentError } from '../errors.ts';

/** Of one pack, by what was asked for. */
export interface PackLimits {
  /** Bytes on the wire. */
  pack: number;
  /** Bytes of one object, inflated and with its deltas applied. */
  object: number;
  /** How many objects. */
  objects: number;
  /** Bytes of all that is inflated and all that deltas make of it, together: a few bytes can stand for any number. */
  made: number;
}

/** Longest chain of deltas. git makes 50 and, where `pack.depth` says so, more. */
export const MAX_DEPTH = 128;

/** The server sends more than what was asked for can be. */
export class OverBudget extends AgentError {
  /** What there is too much of. */
  readonly what: keyof typeof WORDS;
  /** How much there is of it, as far as it was counted. */
  readonly size: number;
  constructor(what: keyof typeof WORDS, size: number, limit: number) {
    const message = `the git server is not right: ${WORDS[what](size, limit)}`;
    super({ code: 'FetchOverBudget', phase: 'fetch', message });
    this.what = what;
    this.size = size;
  }
}

const MIB = 1024 * 1024;
const mib = (bytes: number) => `${Math.floor(bytes / MIB)} MiB`;
const WORDS = {
  pack: (_: number, limit: number) => `its pack is larger than ${mib(limit)}`,
  object: (size: number, limit: number) =>
    `it has an object of ${Math.ceil(size / MIB)} MiB; ${mib(limit)} are the limit (keep large files out of the repository)`,
  objects: (size: number, limit: number) => `its pack has ${size} objects; what was asked for has ${limit} at most`,
  made: (_: number, limit: number) => `its pack is of more than ${mib(limit)} when all in it is inflated`,
  depth: (_: number, limit: number) =>
    `its pack has a delta on a delta, and so on, more than ${limit} deep (git config pack.depth 50, then git repack -adf)`,
};

export const overBudget = (what: keyof typeof WORDS, size: number, limit: number): OverBudget =>
  new OverBudget(what, size, limit);

/** Of what comes in one pack. */
export interface Budget {
  /** @throws OverBudget */
  spend(bytes: number): void;
}

export function createBudget(limit: number): Budget {
  let spent = 0;
  return {
    spend(bytes) {
      spent += bytes;
      if (spent > limit) throw overBudget('made', spent, limit);
    },
  };
}
