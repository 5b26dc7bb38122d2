/** What this host remembers of commits and of what people told it: durable before anything is done about it. */
import type Database from 'better-sqlite3';
import type { ResourcePause } from '../core/resource-pause.ts';
import type { BadCommit, Pause, Pin, Silenced } from '../core/target.ts';
import type { Problem, ResourceId } from '../core/types.ts';
import type { Meta } from './meta.ts';
import type { Writer } from './writer.ts';

export interface Remembered {
  /** Repairs go by this one. */
  accepted: string | null;
  /** Url and ref that the accepted one came from. */
  acceptedFrom: string | null;
  /** Path and trust under which it was accepted. */
  acceptedUnder: string | null;
  /** A new commit that is being applied, or waits for an outage to end. */
  trial: string | null;
  /** Names of the endpoints that could be reached before the trial began; null if the trial is not judged by them. */
  trialEndpoints: readonly string[] | null;
  /** A commit that is being taken back; null as soon as that is done and judged. */
  wayBack: WayBack | null;
  /** Resources of a commit that was taken back which stay as it made them, until another commit begins: `Desired.rollback`. */
  keeps: readonly ResourceId[] | null;
  /** A commit that was taken back since the repository fell silent: it is tried again, and is not bad yet. */
  silenced: Silenced | null;
  /** The last commit under which the host was well, its content, and the one of other content before it. */
  lastGood: string | null;
  lastGoodContent: string | null;
  previousGood: string | null;
  /** When that commit proved itself, ISO 8601. */
  goodSince: string | null;
  pin: Pin | null;
  pause: Pause | null;
  /** Single resources that are held. */
  resourcePauses: readonly ResourcePause[] | null;
}

/** The way back from a commit that did not settle: it outlives a restart, and nothing that waits cuts it short. */
export interface WayBack {
  /** What is taken back, and the content by which it is recorded as bad. */
  from: string;
  content: string;
  /** The last good commit. */
  to: string;
  /** The endpoints that `from` cut off: if they stay out of reach when all of it is taken back, it was innocent. */
  endpoints: readonly string[];
  /** How often it was taken back before and proved innocent. */
  times?: number;
}

export interface Commits {
  get(): Remembered;
  /** One transaction. */
  set(change: Partial<Remembered>): void;
  /** This commit is being applied from now on. Durable before anything on the host is changed (`Store.beforeActing`). */
  beginTrial(commit: string, endpoints: readonly string[]): void;
  /** Commits whose snapshots must be kept. */
  needed(): string[];
  bad(content: string): BadCommit | null;
  /** Newest first. */
  listBad(limit: number): BadCommit[];
  /** In one transaction with `change`. */
  markBad(bad: BadCommit, change: Partial<Remembered>): void;
  /** In one transaction with `change`. */
  forgive(content: string, change?: Partial<Remembered>): void;
}

/** Bad commits that are remembered; older ones give way. */
const MAX_BAD = 100;
const KEYS = [
  'accepted',
  'acceptedFrom',
  'acceptedUnder',
  'trial',
  'trialEndpoints',
  'wayBack',
  'keeps',
  'silenced',
  'lastGood',
  'lastGoodContent',
  'previousGood',
  'goodSince',
  'pin',
  'pause',
  'resourcePauses',
] as const;

interface Raw {
  content: string;
  commit_id: string;
  at: string;
  culprit: string;
}

export function createCommits(db: Database.Database, meta: Meta, writer: Writer): Commits {
  const one = db.prepare<[string], Raw>('SELECT content, commit_id, at, culprit FROM bad WHERE content = ?');
  const list = db.prepare<[number], Raw>(
    'SELECT content, commit_id, at, culprit FROM bad ORDER BY at DESC, rowid DESC LIMIT ?',
  );
  const mark = db.prepare('INSERT OR REPLACE INTO bad (content, commit_id, at, culprit) VALUES (?, ?, ?, ?)');
  const shrink = db.prepare(
    'DELETE FROM bad WHERE content NOT IN (SELECT content FROM bad ORDER BY at DESC, rowid DESC LIMIT ?)',
  );
  const forgive = db.prepare('DELETE FROM bad WHERE content = ?');
  const parse = ({ content, commit_id, at, culprit }: Raw): BadCommit => ({
    content,
    commit: commit_id,
    at,
    culprit: JSON.parse(culprit) as Problem,
  });
  const get = () => Object.fromEntries(KEYS.map((key) => [key, meta.get(key) ?? null])) as unknown as Remembered;
  const set = (change: Partial<Remembered>) => {
    for (const [key, value] of Object.entries(change)) meta.set(key, value);
  };
  return {
    get,
    set: (change) => writer.write('now', () => set(change)),
    beginTrial: (trial, trialEndpoints) =>
      writer.write('before-acting', () => set({ trial, trialEndpoints, keeps: null })),
    needed() {
      const { accepted, trial, lastGood, previousGood, pin } = get();
      return [accepted, trial, lastGood, previousGood, pin?.commit ?? null].filter((c) => c !== null);
    },
    bad(content) {
      const raw = one.get(content);
      return raw ? parse(raw) : null;
    },
    listBad: (limit) => list.all(limit).map(parse),
    markBad: (bad, change) =>
      writer.write('now', () => {
        set(change);
        mark.run(bad.content, bad.commit, bad.at, JSON.stringify(bad.culprit));
        shrink.run(MAX_BAD);
      }),
    forgive: (content, change = {}) =>
      writer.write('now', () => {
        set(change);
        forgive.run(content);
      }),
  };
}
