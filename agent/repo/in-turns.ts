/** Hosts that are read side by side: git answers for some while others are judged. */

/** Hosts whose files are in memory at one time. */
const AT_ONCE = 32;

/** Does the work for each, in order of their beginning; the first that throws ends it. */
export async function inTurns<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const left = items.values();
  const turn = async () => {
    for (const item of left) await work(item);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, turn));
}
