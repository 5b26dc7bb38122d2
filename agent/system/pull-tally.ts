/** Adds up what the engine tells of the layers of one pull. Pure. */

/** A line of the engine's answer to `POST /images/create`. */
export interface PullLine {
  /** Of the layer. */
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
      // Unpacking is counted in bytes as well, in those of what was unpacked: it does not belong into these sums.
      if (status !== 'Download complete' || before === undefined || before.done === before.total) return false;
      layers.set(id, { ...before, done: before.total });
      return true;
    },
    done: () => sum('done'),
    total: () => sum('total'),
  };
}
