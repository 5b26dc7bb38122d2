/** One host as the fleet table shows it, and its retained documents in bounded form. Pure. */
import type { GateOfHost } from '../../fleet/reader/gate.ts';
import { numberIn, objectIn, objectsIn, type Plain, parseObject, textIn, timeIn } from './plain.ts';

export interface Row {
  readonly host: string;
  readonly presence: 'online' | 'offline' | 'unknown';
  /** Since when it is `presence`, if this page saw it change; milliseconds. */
  readonly presenceSince: number | null;
  readonly sync: string;
  readonly health: string;
  readonly reason: string;
  readonly message: string;
  readonly problem: Trouble | null;
  readonly problems: number;
  readonly gate: GateOfHost | null;
  readonly commit: string;
  readonly subject: string;
  readonly author: string;
  readonly committedAt: number | null;
  /** The commit that it runs: the newest that it matched, or else the one that was applied last. */
  readonly runs: string;
  readonly applied: string;
  readonly appliedAt: number | null;
  readonly labels: Readonly<Record<string, string>>;
  /** When the host last reported. */
  readonly at: number | null;
  /** When it meant to sync next. */
  readonly next: number | null;
  /** Documents that the broker did not deliver although they were requested; null once they came. */
  readonly missing: 'status' | 'presence' | null;
  /** This page cannot read the host's status. */
  readonly isUnreadable: boolean;
}

/** The first problem of a host, which is the worst. */
export interface Trouble {
  readonly id: string;
  readonly reason: string;
  readonly message: string;
  readonly turn: string;
  readonly isWaitOnly: boolean;
}

export const MAX = { name: 253, word: 40, id: 300, subject: 200, message: 1_000, label: 100, labels: 32 } as const;
const MAX_PROBLEMS = 20;

export const unknownRow = (host: string): Row => ({
  host,
  presence: 'unknown',
  presenceSince: null,
  sync: 'unknown',
  health: 'unknown',
  reason: '',
  message: '',
  problem: null,
  problems: 0,
  gate: null,
  commit: '',
  subject: '',
  author: '',
  committedAt: null,
  runs: '',
  applied: '',
  appliedAt: null,
  labels: {},
  at: null,
  next: null,
  missing: null,
  isUnreadable: false,
});

/** @returns the row with the presence that was said; the same row where the text is none */
export function withPresence(row: Row, text: string, now: number, isLive: boolean): Row {
  if (text !== 'online' && text !== 'offline') return row;
  const missing = row.missing === 'presence' ? null : row.missing;
  if (text === row.presence && missing === row.missing) return row;
  const isChange = isLive && row.presence !== 'unknown' && text !== row.presence;
  return { ...row, presence: text, presenceSince: isChange ? now : row.presenceSince, missing };
}

/** @returns the row with what its status says, which may be that it cannot be read */
export function withStatus(row: Row, text: string): Row {
  const missing = row.missing === 'status' ? null : row.missing;
  const s = parseObject(text);
  if (s === null || s.schema !== 1) return { ...row, missing, isUnreadable: true };
  const desired = objectIn(s.desired);
  const applied = objectIn(s.applied);
  const problems = objectsIn(s.problems, MAX_PROBLEMS);
  const [commit, last] = [textIn(desired.commit, MAX.word), textIn(applied.commit, MAX.word)];
  return {
    ...row,
    missing,
    isUnreadable: false,
    sync: textIn(s.sync, MAX.word),
    health: textIn(s.health, MAX.word),
    reason: textIn(s.reason, MAX.word),
    message: textIn(s.message, MAX.message),
    problem: worst(problems),
    problems: numberIn(s.problemsTotal) ?? problems.length,
    gate: gateIn(s.gate),
    commit,
    subject: textIn(desired.subject, MAX.subject),
    author: textIn(desired.author, MAX.subject),
    committedAt: timeIn(desired.committedAt),
    // A host that a commit does not change applies nothing, but matches it.
    runs: s.sync === 'synced' && commit !== '' ? commit : last,
    applied: last,
    appliedAt: timeIn(applied.at),
    labels: labelsIn(s.labels, row.labels),
    at: timeIn(s.at),
    next: timeIn(s.next),
  };
}

/** Of several problems, the one that needs attention. */
function worst(problems: readonly Plain[]): Trouble | null {
  const found = problems.find(({ turn }) => turn === 'host' || turn === 'commit') ?? problems[0];
  if (found === undefined) return null;
  return {
    id: textIn(found.id, MAX.id),
    reason: textIn(found.reason, MAX.word),
    message: textIn(found.message, MAX.message),
    turn: textIn(found.turn, MAX.word),
    isWaitOnly: problems.every(({ turn }) => turn === 'wait'),
  };
}

function gateIn(value: unknown): Row['gate'] {
  if (typeof value !== 'object' || value === null) return null;
  const gate = objectIn(value);
  return { kind: textIn(gate.kind, MAX.word), reason: textIn(gate.reason, MAX.message), until: timeIn(gate.until) };
}

/** @returns `before` itself if nothing changed, so that ten thousand statuses keep few objects */
function labelsIn(value: unknown, before: Row['labels']): Row['labels'] {
  const entries = Object.entries(objectIn(value))
    .slice(0, MAX.labels)
    .map(([key, text]) => [textIn(key, MAX.label), textIn(text, MAX.label)] as const);
  const isSame = entries.length === Object.keys(before).length && entries.every(([key, text]) => before[key] === text);
  return isSame ? before : Object.fromEntries(entries);
}
