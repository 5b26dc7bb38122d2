/** Limits on what a server may send: for each object, and for all of them together. */
import { AgentError } from '../../errors.ts';

/** Limits of one pack, by the kind of request. */
export interface PackLimits {
  /** Bytes on the wire. */
  pack: number;
  /** Bytes of one object, inflated and with its deltas applied. */
  object: number;
  /** Number of objects. */
  objects: number;
  /** Bytes of all inflated and resolved data together: a few bytes can expand to any number. */
  made: number;
}

/** Bytes of an answer that lists refs. A server lists all that begin like the one that was asked for, and an old one all it has. */
export const MAX_REFS = { exact: 256 * 1024, pattern: 4 * 1024 * 1024, hello: 4 * 1024 * 1024 };
/** Bytes of the answer before a pack, and of the capabilities of a server. */
export const MAX_WORDS = 64 * 1024;
/** Bytes of messages between the pieces of a pack, such as progress that a server sends unasked. */
export const MAX_ASIDE = 1024 * 1024;
/** Bytes of the name of a ref; longer ones are passed over. */
export const MAX_NAME = 255;

/** Blobs from this size on are fetched one by one, and kept in files of their own. */
export const LARGE = 1024 * 1024;
/** Maximum size of a resolved delta, in bytes: it is made in memory, together with its base. */
export const MAX_MADE = 128 * 1024 * 1024;

/** Longest chain of deltas. git makes 50, or more with `pack.depth`. */
export const MAX_DEPTH = 128;

/** The server sends more than the request can need. */
export class OverBudget extends AgentError {
  /** Name of the limit that was exceeded. */
  readonly what: keyof typeof WORDS;
  /** Amount that was counted so far. */
  readonly size: number;
  readonly limit: number;
  constructor(what: keyof typeof WORDS, size: number, limit: number) {
    const message = `invalid response from the git server: ${WORDS[what](size, limit)}`;
    super({ code: 'FetchOverBudget', phase: 'fetch', message });
    this.what = what;
    this.size = size;
    this.limit = limit;
  }

  /** Whether there can be too much of this. */
  static isKind(what: string | undefined): what is keyof typeof WORDS {
    return what !== undefined && Object.hasOwn(WORDS, what);
  }
}

const MIB = 1024 * 1024;
const mib = (bytes: number) => `${Math.floor(bytes / MIB)} MiB`;
const WORDS = {
  refs: (_: number, limit: number) => `it lists more refs than fit into ${Math.floor(limit / 1024)} KiB`,
  words: (_: number, limit: number) => `it says more than ${Math.floor(limit / 1024)} KiB before it comes to the point`,
  aside: (_: number, limit: number) => `it says more than ${Math.floor(limit / 1024)} KiB beside its pack`,
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

/** Limits of one answer. */
export interface Budget {
  /** @throws OverBudget */
  spend(bytes: number): void;
}

export function createBudget(limit: number, what: keyof typeof WORDS = 'made'): Budget {
  let spent = 0;
  return {
    spend(bytes) {
      spent += bytes;
      if (spent > limit) throw overBudget(what, spent, limit);
    },
  };
}
