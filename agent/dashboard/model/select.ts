/** Which hosts are shown, and their totals. Pure. */
import type { Judged } from './judged.ts';
import { STATES, type State } from './state.ts';
import type { Place } from './url.ts';

/** @param sentence of a host, in which words are looked for as well */
export function select(all: readonly Judged[], place: Place): readonly Judged[] {
  const words = place.search.toLowerCase().split(/\s+/).filter(Boolean);
  const states = new Set<State>(place.states);
  const isAll =
    words.length === 0 &&
    states.size === 0 &&
    !place.isNeeding &&
    place.labels.length === 0 &&
    !place.commit &&
    !place.cause;
  if (isAll) return all;
  return all.filter(
    (judged) =>
      (states.size === 0 || states.has(judged.state)) &&
      (!place.isNeeding || judged.need === 'needs') &&
      (place.cause === '' || judged.cause === place.cause) &&
      (place.commit === '' || runs(judged, place.commit)) &&
      place.labels.every(([key, value]) => (judged.row.labels[key] ?? '') === value) &&
      words.every((word) => hasWord(judged, word)),
  );
}

/** `none` stands for hosts that run no commit. */
export const NO_COMMIT = 'none';
export const commitOf = ({ row }: Judged): string => row.runs || NO_COMMIT;

const runs = (judged: Judged, commit: string): boolean => commitOf(judged).startsWith(commit);

function hasWord({ row, state, cause }: Judged, word: string): boolean {
  if (row.host.includes(word) || state.includes(word) || cause.toLowerCase().includes(word)) return true;
  if (row.runs.startsWith(word) || row.commit.startsWith(word)) return true;
  if (row.subject.toLowerCase().includes(word) || row.message.toLowerCase().includes(word)) return true;
  if (row.problem !== null && `${row.problem.id} ${row.problem.message}`.toLowerCase().includes(word)) return true;
  for (const [key, value] of Object.entries(row.labels))
    if (`${key}=${value}`.toLowerCase().includes(word)) return true;
  return false;
}

export interface Counts {
  readonly all: number;
  readonly needs: number;
  readonly waits: number;
  readonly well: number;
  readonly byState: ReadonlyMap<State, number>;
}

export function countsOf(all: readonly Judged[]): Counts {
  const byState = new Map<State, number>(STATES.map((state) => [state, 0]));
  const byNeed = { needs: 0, waits: 0, well: 0 };
  for (const { state, need } of all) {
    byState.set(state, (byState.get(state) ?? 0) + 1);
    byNeed[need] += 1;
  }
  return { all: all.length, ...byNeed, byState };
}

/** One entry for all hosts with the same cause; the largest group first. */
export interface Cause {
  readonly cause: string;
  readonly hosts: number;
  /** The first of them, whose sentence represents all. */
  readonly example: Judged;
}

export function causesOf(all: readonly Judged[]): Cause[] {
  const found = new Map<string, { hosts: number; example: Judged }>();
  for (const judged of all) {
    if (judged.need !== 'needs') continue;
    const known = found.get(judged.cause);
    if (known) known.hosts += 1;
    else found.set(judged.cause, { hosts: 1, example: judged });
  }
  return [...found]
    .map(([cause, { hosts, example }]) => ({ cause, hosts, example }))
    .sort((a, b) => a.example.rank - b.example.rank || b.hosts - a.hosts);
}

/** Keys of labels with the number of hosts that have them, the most first. */
export function labelKeys(all: readonly Judged[]): string[] {
  const keys = new Map<string, number>();
  for (const { row } of all) for (const key of Object.keys(row.labels)) keys.set(key, (keys.get(key) ?? 0) + 1);
  return [...keys].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1)).map(([key]) => key);
}

export interface Group {
  /** Empty: hosts without the label. */
  readonly value: string;
  readonly counts: Counts;
  readonly commits: number;
}

/** Hosts by the value of a label: those with somebody needed first, then by size. */
export function groupsOf(all: readonly Judged[], key: string): Group[] {
  const members = new Map<string, Judged[]>();
  for (const judged of all) {
    const value = judged.row.labels[key] ?? '';
    const list = members.get(value);
    if (list) list.push(judged);
    else members.set(value, [judged]);
  }
  return [...members]
    .map(([value, list]) => ({ value, counts: countsOf(list), commits: new Set(list.map(commitOf)).size }))
    .sort((a, b) => b.counts.needs - a.counts.needs || b.counts.all - a.counts.all || (a.value < b.value ? -1 : 1));
}
