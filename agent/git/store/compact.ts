/** When the packs of a store become fewer, and which of them: git's "geometric" repacking in its simplest form. Pure. */

export interface PackFile {
  /** Without a suffix. */
  name: string;
  bytes: number;
  /** Has its index: what a crash left without one is nothing to rely on. */
  isIndexed: boolean;
}

/** Packs side by side: what is small is made one early; the rest is dear to pack anew, and waits longer. */
const MAX_PACKS = 12;
const MAX_LARGER_PACKS = 40;
const SMALL_BYTES = 128 * 1024;
const SLACK_BYTES = 4 * 1024 * 1024;

/**
 * @returns null where there are few packs; otherwise the one that stays beside what the others become. To pack a thousand
 *   files anew takes a second, so the largest stays as long as the others together are smaller: what nobody needs of it
 *   any more is never more than what is needed, and a little.
 */
export function planCompaction(packs: readonly PackFile[]): { stays: PackFile | null } | null {
  const total = packs.reduce((sum, { bytes }) => sum + bytes, 0);
  const largest = packs.reduce<PackFile | null>((a, b) => (a === null || b.bytes > a.bytes ? b : a), null);
  const others = total - (largest?.bytes ?? 0);
  if (others > SLACK_BYTES) return { stays: null };
  if (packs.length <= (total < SMALL_BYTES ? MAX_PACKS : MAX_LARGER_PACKS)) return null;
  return { stays: largest?.isIndexed && largest.bytes >= others ? largest : null };
}
