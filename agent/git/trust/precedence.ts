/** Whether the commit of a ref is older than the accepted one, or the ref is of another kind. Pure. */
import type { ReasonCode } from '../../../manifests-schema/reasons.ts';
import type { Provenance } from '../../core/trust.ts';
import { compareVersions, isPattern, parseVersion, type Resolved } from './refs.ts';

export interface Successor {
  /** `repo.ref`. */
  ref: string;
  resolved: Pick<Resolved, 'kind' | 'name' | 'tag'>;
  commit: string;
  /** Id of the tag object. */
  taggedAt: number | null;
  /** The commit descends from the newest accepted one, or is the same. */
  descends: boolean;
}

/** Why it may not follow: a stable code, and the end of a sentence that begins with the commit. */
export interface Objection {
  reason: ReasonCode;
  why: string;
}

/** @returns null if it may follow */
export function objection(newest: Provenance, next: Successor): Objection | null {
  const { ref, resolved, commit } = next;
  const { kind, name } = resolved;
  const unrelated = `does not descend from ${newest.commit.slice(0, 7)}, which this host has`;
  if (newest.kind !== null && newest.kind !== kind)
    return { reason: 'RefKindChanged', why: `is named by a ${kind}, and ${ref} was a ${newest.kind} before` };
  if (isPattern(ref)) {
    const order = versionOrder(name, newest.name);
    if (order < 0) return { reason: 'TagWithdrawn', why: `is ${name}, and this host has ${newest.name}` };
    if (order > 0 && kind === 'tag') return null;
  }
  if (kind === 'commit' || commit === newest.commit) return null;
  if (kind === 'branch')
    return next.descends ? null : { reason: 'HistoryRewritten', why: `${unrelated}: ${ref} was rewound or rewritten` };
  if (!next.descends) return { reason: 'TagWithdrawn', why: `${unrelated}: tag ${name} was moved` };
  const isOlder = newest.taggedAt !== null && (next.taggedAt === null || next.taggedAt < newest.taggedAt);
  if (isOlder && resolved.tag !== newest.tag)
    return { reason: 'TagWithdrawn', why: `is named by tag ${name}, which is older than the one that this host has` };
  return null;
}

/** Compares by semver; a name without a version, as before there was a record, cannot be compared. */
function versionOrder(name: string, before: string): number {
  const versionOf = (text: string) => parseVersion(text.slice(text.lastIndexOf('/') + 1));
  const a = versionOf(name);
  const b = versionOf(before);
  if (!a || !b) return before === '' ? 1 : -1;
  return compareVersions(a, b);
}
