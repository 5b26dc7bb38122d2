/**
 * Keeps known secrets, and what looks like a credential, out of every message that leaves the agent: what a validator, a unit
 * or a server quotes may hold one.
 */
import { randomInt } from 'node:crypto';
import { MASK, textWithoutCredentials } from '../core/credentials/credentials.ts';
import { tameLines } from '../tame.ts';
import { createAutomaton } from './automaton.ts';
import { encodings, partsOf } from './forms.ts';
import { createPieces } from './pieces.ts';

export interface Redactor {
  /** Known from now on; of those that came this way the oldest are forgotten when there are very many. */
  add(secret: string): void;
  /** The same for secrets seen on the host, where anybody may have put them: they displace no others. */
  addSeen(credential: string): void;
  /** Known until `retain` forgets the commit. Called for a commit without secrets as well. */
  addFor(commit: string, secrets: readonly string[]): void;
  /** Forgets the secrets of all other commits, but for the one that was heard of last: it may be in use. */
  retain(commits: readonly string[]): void;
  text(text: string): string;
  /**
   * Masks secrets in a text, or in the strings of plain data that people read; ids, places and codes, which programs read,
   * are left alone. Also removes terminal control characters, and the middle of a text of more than 16,384 characters.
   * Returns the very same object if there was nothing to mask.
   */
  deep<T>(value: T): T;
}

/** Keys whose values are free text, with everything below them. */
const FREE_TEXT: ReadonlySet<string> = new Set([
  'message',
  'from',
  'to',
  'detail',
  'error',
  'output',
  'held',
  'desired',
  'actual',
  'diff',
]);
const MAX_DEPTH = 50;
/** Maximum length of a reported text: messages of a validator or a registry may have any length, and a status holds many. */
const MAX_TOLD = 16 * 1024;
const MAX_LASTING = 1_000;
/** Longer secrets are found by their pieces. */
const LONG = 16 * 1024;
/** Letters of all forms of all others together; the longest of them join the long ones beyond it. */
const MAX_FORMS = 512 * 1024;

type Scan = (text: string, found: (begin: number, end: number) => void) => void;

export function createRedactor(): Redactor {
  const lasting = new Set<string>();
  const seen = new Set<string>();
  const groups = new Map<string, Set<string>>();
  const seed = randomInt(2 ** 30) * 2 + 1;
  let newest = '';
  /** null: to be made when it is needed. */
  let scans: readonly Scan[] | null = [];

  const text = (given: string): string => {
    scans ??= scansFor([...new Set([lasting, seen, ...groups.values()].flatMap((group) => [...group]))], seed);
    return textWithoutCredentials(scans.length === 0 ? given : masked(given, scans));
  };
  const remember = (known: Set<string>, secret: string): void => {
    if (known.has(secret)) return;
    known.add(secret);
    const [oldest] = known;
    if (known.size > MAX_LASTING && oldest !== undefined) known.delete(oldest);
    scans = null;
  };
  const free = (given: string): string => clipped(tameLines(text(given)));
  return {
    add: (secret) => remember(lasting, secret),
    addSeen: (credential) => remember(seen, credential),
    addFor(commit, secrets) {
      newest = commit;
      const known = groups.get(commit) ?? new Set();
      groups.set(commit, known);
      for (const secret of secrets) {
        if (known.has(secret)) continue;
        known.add(secret);
        scans = null;
      }
    },
    retain(commits) {
      for (const [commit, secrets] of groups) {
        if (commit === newest || commits.includes(commit)) continue;
        groups.delete(commit);
        if (secrets.size > 0) scans = null;
      }
    },
    text,
    deep: <T>(value: T): T => deep(value, typeof value === 'string', 0, free) as T,
  };
}

/** Keep the beginning, which says what failed, and the end, which says what to do. */
function clipped(text: string): string {
  if (text.length <= MAX_TOLD) return text;
  const half = MAX_TOLD / 2;
  return `${text.slice(0, half)} … (${text.length - MAX_TOLD} letters more) … ${text.slice(-half)}`;
}

/** A matcher for any form of these secrets. */
function scansFor(secrets: readonly string[], seed: number): Scan[] {
  const short: string[] = [];
  const long: string[] = [];
  let letters = 0;
  for (const secret of [...secrets].sort((a, b) => a.length - b.length)) {
    const forms = secret.length > LONG ? [] : partsOf(secret).flatMap(encodings);
    const size = forms.reduce((sum, form) => sum + form.length, 0);
    letters += size;
    if (secret.length > LONG || letters > MAX_FORMS) long.push(secret);
    else short.push(...forms);
  }
  return [
    ...(short.length > 0 ? [createAutomaton([...new Set(short)]).scan] : []),
    ...(long.length > 0 ? [createPieces(long, seed).scan] : []),
  ];
}

/** Everything found is masked; overlapping parts as one. */
function masked(text: string, scans: readonly Scan[]): string {
  const found: [number, number][] = [];
  for (const scan of scans) scan(text, (begin, end) => found.push([begin, end]));
  if (found.length === 0) return text;
  found.sort((a, b) => a[0] - b[0] || b[1] - a[1]);
  let out = '';
  let done = 0;
  for (const [begin, end] of found) {
    if (begin >= done) out += `${text.slice(done, begin)}${MASK}`;
    done = Math.max(done, end);
  }
  return out + text.slice(done);
}

/** Parts in which nothing changes stay the very same objects; most do, so a copy is made when something did. */
function deep(value: unknown, isFree: boolean, depth: number, change: (text: string) => string): unknown {
  if (typeof value === 'string') return isFree ? change(value) : value;
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  if (depth > MAX_DEPTH) return MASK;
  if (Array.isArray(value)) {
    let copy: unknown[] | null = null;
    for (const [i, item] of value.entries()) {
      const changed = deep(item, isFree, depth + 1, change);
      if (changed === item) continue;
      copy ??= [...value];
      copy[i] = changed;
    }
    return copy ?? value;
  }
  if (Object.getPrototypeOf(value) !== Object.prototype) return value;
  let copy: Record<string, unknown> | null = null;
  for (const key of Object.keys(value)) {
    const item = (value as Record<string, unknown>)[key];
    const changed = deep(item, isFree || FREE_TEXT.has(key), depth + 1, change);
    if (changed === item) continue;
    copy ??= { ...value };
    copy[key] = changed;
  }
  return copy ?? value;
}
