/** Records of commits that passed review, and of the newest that a host accepted. Pure. */

/** Why a commit was trusted. It is stored with the accepted commit, so that no older commit can replace it. */
export interface Provenance {
  /** Url and ref, as in agent.yaml. */
  source: string;
  commit: string;
  /** The kind of ref that named it; null if unknown, for commits that earlier versions accepted. */
  kind: 'branch' | 'tag' | 'commit' | null;
  /** Short name of the branch or tag: as configured, or as matched by a pattern. */
  name: string;
  /** Id of the tag object, if there is one, and its tagger's date in seconds since 1970. */
  tag: string | null;
  taggedAt: number | null;
  /** SHA-256 of the commit without its signature: signing a commit again changes its id, but not this. */
  payload: string | null;
  /** Digest of the policy under which it was reviewed. */
  policy: string;
  /** A person named this commit, or it is the target of a rollback: the ref did not name it. */
  named: boolean;
  /** An operator allowed it to be older than the commit accepted before. */
  rewound: boolean;
}

/** A commit that was accepted before provenance was recorded: only its id is known. */
export const unrecorded = (source: string, commit: string, tag?: string): Provenance => ({
  source,
  commit,
  kind: tag === undefined ? null : 'tag',
  name: tag ?? '',
  tag: null,
  taggedAt: null,
  payload: null,
  policy: '',
  named: false,
  rewound: false,
});

/** Everything that a host records about accepted commits. */
export interface TrustRecord {
  /** Source → the newest commit that was accepted from it. */
  newest: Readonly<Record<string, Provenance>>;
  /** Recently accepted commits, oldest first: the possible targets of a rollback. */
  accepted: readonly Provenance[];
}

export const NO_RECORD: TrustRecord = { newest: {}, accepted: [] };

/** Number of commits to which the host may go back without asking the repository. */
const MAX_ACCEPTED = 50;
/** Urls and refs only change by hand in agent.yaml, so there are few. */
const MAX_SOURCES = 20;

/** The record after `passed` was accepted. The newest commit never moves back, unless an operator allowed it. */
export function withAccepted(record: TrustRecord, passed: Provenance): TrustRecord {
  const others = record.accepted.filter((p) => p.commit !== passed.commit || p.source !== passed.source);
  const accepted = [...others, passed].slice(-MAX_ACCEPTED);
  if (passed.named) return { ...record, accepted };
  const before = record.newest[passed.source];
  const now = before?.commit === passed.commit ? ofBoth(before, passed) : passed;
  const rest = Object.entries(record.newest).filter(([source]) => source !== passed.source);
  const newest = Object.fromEntries([...rest, [passed.source, now] as const].slice(-MAX_SOURCES));
  return { newest, accepted };
}

/** Whether accepting the commit again would not change the record. */
export const isRecorded = ({ newest, accepted }: TrustRecord, { source, commit, named }: Provenance): boolean =>
  named ? accepted.some((p) => p.commit === commit && p.source === source) : newest[source]?.commit === commit;

/** If one commit has two tags, the later tag is the one that must not be undercut. */
function ofBoth(before: Provenance, now: Provenance): Provenance {
  const isOlder = before.taggedAt !== null && (now.taggedAt === null || now.taggedAt < before.taggedAt);
  return isOlder && !now.rewound ? { ...before, policy: now.policy } : now;
}
