/**
 * Finds pieces of long texts (a keystore, a dump) in another text in one pass, by a rolling hash over windows of it (R. M. Karp,
 * M. O. Rabin, Efficient randomized pattern-matching algorithms, 1987). An automaton over all of them would take too much memory.
 */

/** Letters of a window. */
const WINDOW = 16;
/** Distance in characters between the remembered windows of a long text; larger if there would be too many windows. */
const STRIDE = 4;
const MOST_WINDOWS = 1_000_000;
/** `AAAAAAAAAAAAAAAA` and rules of dashes are in everything. */
const LEAST_DISTINCT = 4;
const LINE_FEED = 10;

/** Every piece of this length is found. */
export const LEAST_PIECE = WINDOW + STRIDE - 1;

export interface Pieces {
  /** Calls `found` with the place of each piece, as [begin, end). */
  scan(text: string, found: (begin: number, end: number) => void): void;
}

/** @param seed an odd random number, so that nobody can choose texts whose windows have one hash */
export function createPieces(texts: readonly string[], seed: number): Pieces {
  // No window reaches over the end of a text.
  const all = texts.map((text) => `${text}\0`).join('');
  const stride = Math.max(STRIDE, Math.ceil(all.length / MOST_WINDOWS));
  const size = 2 ** Math.ceil(Math.log2((all.length / stride) * 2 + 16));
  /** Place of a window in `all`, plus one. */
  const table = new Int32Array(size);
  let top = 1;
  for (let i = 0; i < WINDOW; i++) top = Math.imul(top, seed);
  const roll = (hash: number, text: string, at: number): number => {
    const gone = at >= WINDOW ? Math.imul(text.charCodeAt(at - WINDOW), top) : 0;
    return (Math.imul(hash, seed) + text.charCodeAt(at) - gone) | 0;
  };
  const isSame = (at: number, text: string, begin: number): boolean => {
    for (let i = 0; i < WINDOW; i++) if (all.charCodeAt(at + i) !== text.charCodeAt(begin + i)) return false;
    return true;
  };
  /** The slot of the window of `text` at `begin`, or the empty one where it would be. */
  const slotOf = (hash: number, text: string, begin: number): number => {
    let slot = (hash ^ (hash >>> 13)) & (size - 1);
    for (; ; slot = (slot + 1) & (size - 1)) {
      const at = table[slot] ?? 0;
      if (at === 0 || isSame(at - 1, text, begin)) return slot;
    }
  };

  for (let i = 0, hash = 0; i < all.length; i++) {
    hash = roll(hash, all, i);
    const begin = i + 1 - WINDOW;
    if (begin < 0 || begin % stride !== 0 || !isTelling(all, begin)) continue;
    const slot = slotOf(hash, all, begin);
    if (table[slot] === 0) table[slot] = begin + 1;
  }

  return {
    scan(text, found) {
      /** Text before this offset is not searched again. */
      let done = 0;
      for (let i = 0, hash = 0; i < text.length; i++) {
        hash = roll(hash, text, i);
        const at = i + 1 - WINDOW;
        if (at < done) continue;
        const place = table[slotOf(hash, text, at)] ?? 0;
        if (place === 0) continue;
        let begin = at;
        for (let p = place - 2; begin > done && p >= 0 && all[p] === text[begin - 1] && all[p] !== '\n'; p--) begin--;
        let end = i + 1;
        for (let p = place - 1 + WINDOW; end < text.length && all[p] === text[end] && all[p] !== '\n'; p++) end++;
        found(begin, end);
        done = end;
      }
    },
  };
}

/** Within one line, and not of a few letters only. */
function isTelling(text: string, begin: number): boolean {
  let distinct = 0;
  for (let i = begin; i < begin + WINDOW; i++) {
    const c = text.charCodeAt(i);
    if (c === LINE_FEED || c === 0) return false;
    let before = begin;
    while (text.charCodeAt(before) !== c) before++;
    if (before === i) distinct++;
  }
  return distinct >= LEAST_DISTINCT;
}
