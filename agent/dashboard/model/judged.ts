/** Rows with their state and sentence, kept for rows that did not change. Pure. */
import type { Row } from './row.ts';
import { causeOf, isStale, type Need, needOf, STATES, type State, stateOf } from './state.ts';

export interface Judged {
  readonly row: Row;
  readonly state: State;
  readonly need: Need;
  readonly cause: string;
  /** Rank of the state; 0 is the worst. */
  readonly rank: number;
}

const RANKS: ReadonlyMap<State, number> = new Map(STATES.map((state, at) => [state, at]));
const NEED_RANK: Readonly<Record<Need, number>> = { needs: 0, waits: 100, well: 200 };

export const judge = (row: Row, now: number): Judged => {
  const state = stateOf(row, now);
  const need = needOf(row, state);
  return {
    row,
    state,
    need,
    cause: need === 'well' ? '' : causeOf(row, state),
    rank: NEED_RANK[need] + (RANKS.get(state) ?? 0),
  };
};

export interface Judge {
  /** Hosts that need somebody first, then by state, then by name. Returns the same list if nothing changed. */
  all(rows: ReadonlyMap<string, Row>, version: number, now: number): readonly Judged[];
}

/** A host turns stale without a word; that is looked for this often. */
const LOOK_MS = 20_000;

export function createJudge(): Judge {
  let known = new Map<string, Judged>();
  let sorted: readonly Judged[] = [];
  let seen = -1;
  let lookedAt = Number.NEGATIVE_INFINITY;
  return {
    all(rows, version, now) {
      const isLook = now - lookedAt >= LOOK_MS;
      if (version === seen && !isLook) return sorted;
      if (isLook) lookedAt = now;
      seen = version;
      let isMoved = known.size !== rows.size;
      const next = new Map<string, Judged>();
      for (const [host, row] of rows) {
        const before = known.get(host);
        const isKept = before?.row === row && (!isLook || (before.state === 'stale') === isStale(row, now));
        const judged = isKept ? before : judge(row, now);
        if (before?.rank !== judged.rank) isMoved = true;
        next.set(host, judged);
      }
      known = next;
      sorted = isMoved
        ? [...next.values()].sort((a, b) => a.rank - b.rank || (a.row.host < b.row.host ? -1 : 1))
        : sorted.map((old) => next.get(old.row.host) ?? old);
      return sorted;
    },
  };
}
