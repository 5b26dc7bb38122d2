/** Adds up Docker's progress messages of the layers of one pull. Pure. */

/** A line of the engine's answer to `POST /images/create`. */
export interface PullLine {
  /** Id of the layer. */
  id?: string;
  status?: string;
  progressDetail?: { current?: number; total?: number };
  error?: string;
  errorDetail?: { message?: string };
}

export interface Tally {
  /** @returns whether the sums are others by that */
  note(line: PullLine): boolean;
  /** Bytes. */
  done(): number;
  /** Bytes of all layers whose download has begun: more may come. */
  total(): number;
}

/** Final states of a layer in the engine's progress. A slow reader gets only the last of them. */
const HAS_COME: ReadonlySet<string> = new Set(['Download complete', 'Extracting', 'Pull complete']);

export function createTally(): Tally {
  const layers = new Map<string, { done: number; total: number }>();
  const sum = (of: 'done' | 'total') => [...layers.values()].reduce((bytes, layer) => bytes + layer[of], 0);
  return {
    note({ id = '', status, progressDetail }) {
      const before = layers.get(id);
      if (status === 'Downloading') {
        const done = progressDetail?.current ?? 0;
        layers.set(id, { done, total: Math.max(done, progressDetail?.total ?? 0, before?.total ?? 0) });
        return done !== before?.done;
      }
      // Progress of unpacking counts unpacked bytes, so it does not belong into these sums.
      if (!HAS_COME.has(status ?? '') || before === undefined || before.done === before.total) return false;
      layers.set(id, { ...before, done: before.total });
      return true;
    },
    done: () => sum('done'),
    total: () => sum('total'),
  };
}
