/**
 * Waits that end together. A race of each wait with one promise of their end would leave a listener on that promise for each wait,
 * for as long as it is open: 600 bytes for each message over a connection of weeks.
 */
export interface Waits {
  /** Settles as `work` does, or rejects as soon as `end` is called. */
  wait<T>(work: Promise<T>): Promise<T>;
  /** Rejects all waits, and every later one. Only the first call counts. */
  end(why: Error): void;
}

export function createWaits(): Waits {
  const rejecters = new Set<(why: Error) => void>();
  let ended: Error | null = null;
  return {
    async wait(work) {
      const over = Promise.withResolvers<never>();
      rejecters.add(over.reject);
      if (ended) over.reject(ended);
      try {
        return await Promise.race([work, over.promise]);
      } finally {
        rejecters.delete(over.reject);
      }
    },
    end(why) {
      ended ??= why;
      for (const reject of rejecters) reject(ended);
    },
  };
}
