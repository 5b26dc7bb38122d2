/** When the packs of a store become fewer, and which of them: git's "geometric" repacking in its simplest form. Pure. */

export interface PackFile {
  /** Without a suffix. */
  name: string;
  bytes: number;
  /** A pack with an index; one without was left by a crash and is not used. */
  isIndexed: boolean;
}

/** Maximum number of packs: small ones are joined early, large ones later because packing them again is expensive. */
const MAX_PACKS = 12;
const MAX_LARGER_PACKS = 40;
const SMALL_BYTES = 128 * 1024;
const SLACK_BYTES = 4 * 1024 * 1024;

/**
 * @returns null if there are few packs; otherwise the one that stays while the others are joined. Packing a thousand files again
 *   takes a second, so the largest stays as long as the others together are smaller. So unneeded objects never take much more
 *   space than needed ones.
 */
export function planCompaction(packs: readonly PackFile[]): { stays: PackFile | null } | null {
  const total = packs.reduce((sum, { bytes }) => sum + bytes, 0);
  const largest = packs.reduce<PackFile | null>((a, b) => (a === null || b.bytes > a.bytes ? b : a), null);
  const others = total - (largest?.bytes ?? 0);
  if (others > SLACK_BYTES) return { stays: null };
  if (packs.length <= (total < SMALL_BYTES ? MAX_PACKS : MAX_LARGER_PACKS)) return null;
  return { stays: largest?.isIndexed && largest.bytes >= others ? largest : null };
}
