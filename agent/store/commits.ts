/** Durable state about commits and operators' decisions, written before the host acts on it. */
import type Database from 'better-sqlite3';
import type { ResourcePause } from '../core/plan/resource-pause.ts';
import type { BadCommit, Pause, Pin, PostponedCommit } from '../core/plan/target.ts';
import type { Problem, ResourceId } from '../core/types.ts';
import type { Meta } from './disk/meta.ts';
import type { Writer } from './disk/writer.ts';

export interface Remembered {
  /** The commit that repairs follow. */
  accepted: string | null;
  /** Url and ref from which the commit was accepted. */
  acceptedFrom: string | null;
  /** Path and policy under which it was accepted. */
  acceptedUnder: string | null;
  /** A new commit that is being applied, or waits for an outage to end. */
  trial: string | null;
  /** Names of the endpoints that were reachable before the trial began; null if they do not count for this trial. */
  trialEndpoints: readonly string[] | null;
  /** A rollback in progress; null when it has ended and was judged. */
  pendingRollback: PendingRollback | null;
  /** Resources that keep the state of a rolled-back commit until another commit begins: `Desired.rollback`. */
  keeps: readonly ResourceId[] | null;
  /** A commit that was rolled back while the repository was unreachable: it is not bad yet, and is tried again. */
  postponed: PostponedCommit | null;
  /** The last commit under which the host was well, with its content, and the last good commit with other content. */
  lastGood: string | null;
  lastGoodContent: string | null;
  previousGood: string | null;
  /** When that commit proved itself, ISO 8601. */
  goodSince: string | null;
  pin: Pin | null;
  pause: Pause | null;
  /** Pauses of single resources. */
  resourcePauses: readonly ResourcePause[] | null;
}

/** The rollback of a commit that did not settle. It survives a restart, and runs to its end. */
export interface PendingRollback {
  /** The commit that is rolled back, and the content under which it is recorded as bad. */
  from: string;
  content: string;
  /** The last good commit. */
  to: string;
  /** The endpoints that `from` cut off: if they stay unreachable after the rollback, the commit was not the cause. */
  endpoints: readonly string[];
  /** How often it was rolled back before without being the cause. */
  times?: number;
}

export interface Commits {
  get(): Remembered;
  /** One transaction. */
  set(change: Partial<Remembered>): void;
  /** Records that this commit is being applied. Durable before the host is changed (`Store.beforeActing`). */
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

/** Number of bad commits that are remembered; the oldest are deleted. */
const MAX_BAD = 100;
/** The key of each value in the table `meta`. A key never changes, also if the name in the code does. */
const KEYS = {
  accepted: 'accepted',
  acceptedFrom: 'acceptedFrom',
  acceptedUnder: 'acceptedUnder',
  trial: 'trial',
  trialEndpoints: 'trialEndpoints',
  pendingRollback: 'wayBack',
  keeps: 'keeps',
  postponed: 'silenced',
  lastGood: 'lastGood',
  lastGoodContent: 'lastGoodContent',
  previousGood: 'previousGood',
  goodSince: 'goodSince',
  pin: 'pin',
  pause: 'pause',
  resourcePauses: 'resourcePauses',
} as const satisfies Record<keyof Remembered, string>;

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
  const names = Object.keys(KEYS) as (keyof Remembered)[];
  const get = () =>
    Object.fromEntries(names.map((name) => [name, meta.get(KEYS[name]) ?? null])) as unknown as Remembered;
  const set = (change: Partial<Remembered>) => {
    for (const name of names) if (name in change) meta.set(KEYS[name], change[name]);
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
