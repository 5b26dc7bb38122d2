/** Which commit a `repo.ref` names, from the refs that a server lists. Pure. */

import { nearest } from '../../../manifests-schema/check.ts';
import { matches } from '../../core/names/glob.ts';
import { AgentError } from '../../errors.ts';
import type { Ref } from '../wire/protocol.ts';

/** The object that `repo.ref` was resolved to. */
export interface Resolved {
  kind: 'branch' | 'tag' | 'commit';
  /** The commit, annotated tags peeled. */
  commit: string;
  /**
   * Short name of the branch or tag; empty for a commit. A tag is checked against it, so it is the name that was asked
   * for, or that the pattern matched: nothing that the server calls it besides.
   */
  name: string;
  /** Id of the tag object, if the tag is annotated. */
  tag: string | null;
}

export const isCommitId = (ref: string): boolean => /^[0-9a-f]{40}$/.test(ref);
export const isPattern = (ref: string): boolean => /[*?[]/.test(ref);

/** Prefixes to request from a server: only those that can match `ref`. */
export function prefixesOf(ref: string): string[] {
  if (ref === 'HEAD') return ['HEAD'];
  if (isPattern(ref)) return [fullTag(ref).replace(/[*?[].*$/, '')];
  if (ref.startsWith('refs/')) return [ref];
  return [`refs/heads/${ref}`, `refs/tags/${ref}`];
}

const fullTag = (ref: string) => (ref.startsWith('refs/') ? ref : `refs/tags/${ref}`);

/**
 * A branch before a tag of the same name. A pattern names the highest version among the tags that match.
 * @throws AgentError `RefNotFound`
 */
export function resolve(ref: string, refs: readonly Ref[], url: string): Resolved {
  if (isPattern(ref)) return highest(ref, refs, url);
  const wanted = ref === 'HEAD' || ref.startsWith('refs/') ? [ref] : prefixesOf(ref);
  for (const name of wanted) {
    const found = refs.find((r) => r.name === name);
    if (found) return resolved(found);
  }
  const hint = ref === 'HEAD' ? 'has no default branch yet; push one' : `has no branch or tag \`${ref}\``;
  throw notFound(`${url} ${hint}; check repo.ref in agent.yaml`);
}

/** Branches that are named; the others are only counted. */
const NAMED = 5;

/** The same error with what the repository has instead. @param thrown of `resolve` @param branches all of the repository's */
export function notFoundAmong(
  thrown: unknown,
  { ref, url, branches }: { ref: string; url: string; branches: readonly Ref[] },
): unknown {
  if (!(thrown instanceof AgentError && thrown.code === 'RefNotFound') || isPattern(ref)) return thrown;
  const names = branches.filter(({ name }) => name.startsWith('refs/heads/')).map(({ name }) => shortName(name));
  if (names.length === 0)
    return notFound(`${url} is empty: no branch was pushed to it yet; push a first commit, and this host follows it`);
  if (ref === 'HEAD') return thrown;
  const near = nearest(shortName(ref), names);
  const more = names.length > NAMED ? ` and ${names.length - NAMED} more` : '';
  const hint = near ? `did you mean \`${near}\`?` : `its branches are ${names.slice(0, NAMED).join(', ')}${more};`;
  return notFound(`${url} has no branch or tag \`${ref}\`; ${hint} check repo.ref in agent.yaml`);
}

function resolved(ref: Ref): Resolved {
  const isTag = ref.name.startsWith('refs/tags/');
  const name = shortName(ref.name === 'HEAD' ? (ref.target ?? ref.name) : ref.name);
  const tag = isTag && ref.peeled ? ref.oid : null;
  return { kind: isTag ? 'tag' : 'branch', commit: ref.peeled ?? ref.oid, name, tag };
}

function highest(pattern: string, refs: readonly Ref[], url: string): Resolved {
  const full = fullTag(pattern);
  const prereleases = pattern.includes('-');
  const best = refs
    .filter((r) => matches(full, r.name))
    .map((ref) => ({ ref, version: parseVersion(ref.name.slice(ref.name.lastIndexOf('/') + 1)) }))
    .filter((c): c is { ref: Ref; version: Version } => c.version !== null)
    .filter((c) => prereleases || c.version.pre.length === 0)
    .sort((a, b) => compareVersions(b.version, a.version) || (a.ref.name < b.ref.name ? 1 : -1))[0];
  if (!best) throw notFound(`${url} has no tag with a version that matches \`${pattern}\`; check repo.ref`);
  return resolved(best.ref);
}

/** Whether a push to `name` (short, or full) concerns a host that follows `ref`. */
export function concerns(ref: string, name: string): boolean {
  if (ref === 'HEAD') return true;
  if (isPattern(ref)) return matches(shortName(ref), shortName(name));
  return shortName(ref) === shortName(name);
}

export const shortName = (ref: string): string => ref.replace(/^refs\/(heads|tags)\//, '');

export interface Version {
  numbers: readonly [number, number, number];
  pre: readonly string[];
}

/**
 * `v1.2.3-rc.1+build`, the v and the last two numbers optional; null if it is no version (semver.org, 2.0.0).
 * A number of more than 15 digits is none: JavaScript could not compare it.
 */
export function parseVersion(text: string): Version | null {
  const match = /^v?(\d{1,15})(?:\.(\d{1,15}))?(?:\.(\d{1,15}))?(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?$/.exec(
    text,
  );
  if (!match) return null;
  const [, major = '0', minor = '0', patch = '0', pre] = match;
  return { numbers: [Number(major), Number(minor), Number(patch)], pre: pre?.split('.') ?? [] };
}

/** Precedence of semver.org, item 11: negative where `a` comes before `b`. */
export function compareVersions(a: Version, b: Version): number {
  for (let i = 0; i < 3; i++) {
    const difference = (a.numbers[i] ?? 0) - (b.numbers[i] ?? 0);
    if (difference !== 0) return difference;
  }
  if (a.pre.length === 0 || b.pre.length === 0) return b.pre.length - a.pre.length;
  for (let i = 0; i < Math.max(a.pre.length, b.pre.length); i++) {
    const x = a.pre[i];
    const y = b.pre[i];
    if (x === undefined || y === undefined) return x === undefined ? -1 : 1;
    if (x === y) continue;
    const numeric = [x, y].map((p) => /^\d+$/.test(p));
    if (numeric[0] && numeric[1]) return compareDigits(x, y);
    if (numeric[0] !== numeric[1]) return numeric[0] ? -1 : 1;
    return x < y ? -1 : 1;
  }
  return 0;
}

/** Numbers of any length: the longer one is larger, of two as long the one that sorts later. */
function compareDigits(x: string, y: string): number {
  const [a, b] = [x, y].map((digits) => digits.replace(/^0+(?=.)/, '')) as [string, string];
  if (a.length !== b.length) return a.length - b.length;
  return a === b ? 0 : a < b ? -1 : 1;
}

const notFound = (message: string) => new AgentError({ code: 'RefNotFound', phase: 'fetch', message });
