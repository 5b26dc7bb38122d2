/**
 * Finds any of many words in a text, in one pass (A. V. Aho, M. J. Corasick, Efficient String Matching, CACM 18, 1975). The
 * transitions lie in one hash table of numbers, because libraries for this keep an object for each letter of each word.
 */

export interface Automaton {
  /** Calls `found` with the place of the longest word that ends at each place, as [begin, end). */
  scan(text: string, found: (begin: number, end: number) => void): void;
}

/** Number of bits of a UTF-16 code unit. */
const UNITS = 65_536;

export function createAutomaton(words: readonly string[]): Automaton {
  const most = words.reduce((sum, word) => sum + word.length, 0) + 1;
  const parent = new Int32Array(most);
  const unit = new Uint16Array(most);
  const depth = new Int32Array(most);
  /** Failure link: the node of the longest proper suffix that begins another word. */
  const fail = new Int32Array(most);
  /** Length of the longest word that ends at a node; 0 if none does. */
  const length = new Int32Array(most);
  const edges = createEdges(most);
  let nodes = 1;

  for (const word of words) {
    let node = 0;
    for (let i = 0; i < word.length; i++) {
      const c = word.charCodeAt(i);
      let next = edges.get(node, c);
      if (next === 0) {
        next = nodes++;
        parent[next] = node;
        unit[next] = c;
        depth[next] = i + 1;
        edges.set(node, c, next);
      }
      node = next;
    }
    length[node] = word.length;
  }

  /** The node that `c` leads to, from `node` or from one of its failure links. */
  const step = (node: number, c: number): number => {
    for (let at = node; ; at = fail[at] ?? 0) {
      const next = edges.get(at, c);
      if (next !== 0 || at === 0) return next;
    }
  };
  for (const node of byDepth(depth, nodes)) {
    const from = parent[node] ?? 0;
    const back = from === 0 ? 0 : step(fail[from] ?? 0, unit[node] ?? 0);
    fail[node] = back;
    length[node] ||= length[back] ?? 0;
  }

  return {
    scan(text, found) {
      let node = 0;
      for (let i = 0; i < text.length; i++) {
        node = step(node, text.charCodeAt(i));
        const long = length[node] ?? 0;
        if (long > 0) found(i + 1 - long, i + 1);
      }
    },
  };
}

/** All nodes but the root, those nearer to it first: what a node falls back to is nearer still. */
function* byDepth(depth: Int32Array, nodes: number): Generator<number> {
  const first = new Int32Array(depth.reduce((most, d) => Math.max(most, d), 0) + 1);
  const next = new Int32Array(nodes);
  for (let node = nodes - 1; node > 0; node--) {
    const d = depth[node] ?? 0;
    next[node] = first[d] ?? 0;
    first[d] = node;
  }
  for (const begin of first) for (let node = begin; node !== 0; node = next[node] ?? 0) yield node;
}

/** (node, code unit) → node; 0 if there is none. Open addressing, at most half full. */
function createEdges(most: number) {
  const size = 2 ** Math.ceil(Math.log2(most * 2 + 1));
  const keys = new Float64Array(size);
  const values = new Int32Array(size);
  const slotOf = (node: number, c: number): number => {
    const key = node * UNITS + c + 1;
    let slot = (Math.imul(node, 0x9e3779b1) ^ Math.imul(c + 1, 0x85ebca6b)) >>> 0;
    slot = (slot ^ (slot >>> 15)) & (size - 1);
    while (keys[slot] !== 0 && keys[slot] !== key) slot = (slot + 1) & (size - 1);
    return slot;
  };
  return {
    get: (node: number, c: number): number => values[slotOf(node, c)] ?? 0,
    set(node: number, c: number, to: number): void {
      const slot = slotOf(node, c);
      keys[slot] = node * UNITS + c + 1;
      values[slot] = to;
    },
  };
}
