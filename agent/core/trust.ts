/** What is known of a commit that the review has passed, and of the newest that a host accepted. Pure. */

/** How a commit came to be trusted. It is kept with what was accepted, so that nothing older comes after it. */
export interface Provenance {
  /** Url and ref, as in agent.yaml. */
  source: string;
  commit: string;
  /** What the ref named it by; null where that is not known, as of what was accepted by versions of before. */
  kind: 'branch' | 'tag' | 'commit' | null;
  /** Short name of the branch or tag: the one asked for, or the one that a pattern matched. */
  name: string;
  /** Id of the tag object, where there is one; and its tagger's date, in seconds since 1970. */
  tag: string | null;
  taggedAt: number | null;
  /** SHA-256 of the commit without its signature: another signature of the same makes another id, and no other commit. */
  payload: string | null;
  /** Digest of the policy that it was judged by. */
  policy: string;
  /** Somebody named this commit, or it was gone back to: it is not what the ref named. */
  named: boolean;
  /** A person let it go behind what was accepted before. */
  rewound: boolean;
}

/** What was accepted before there was a record: its id is all that is known. */
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

/** All that a host keeps of what it accepted. */
export interface TrustRecord {
  /** Source → the newest that was accepted from it. */
  newest: Readonly<Record<string, Provenance>>;
  /** All that was accepted lately, oldest first: what may be gone back to. */
  accepted: readonly Provenance[];
}

export const NO_RECORD: TrustRecord = { newest: {}, accepted: [] };

/** Commits that can be gone back to without the repository's word. */
const MAX_ACCEPTED = 50;
/** A url or a ref is changed by hand in agent.yaml. */
const MAX_SOURCES = 20;

/** The record after `passed` was accepted. What is newest never goes back, unless a person said so. */
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

/** Whether accepting it says nothing new. */
export const isRecorded = ({ newest, accepted }: TrustRecord, { source, commit, named }: Provenance): boolean =>
  named ? accepted.some((p) => p.commit === commit && p.source === source) : newest[source]?.commit === commit;

/** Of one commit under two tags, the later tag is what must not be gone behind. */
function ofBoth(before: Provenance, now: Provenance): Provenance {
  const isOlder = before.taggedAt !== null && (now.taggedAt === null || now.taggedAt < before.taggedAt);
  return isOlder && !now.rewound ? { ...before, policy: now.policy } : now;
}
