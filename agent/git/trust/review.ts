/** Whether a commit may be applied: it descends from the accepted one and from the floor, and is signed as required. */
import type { ReasonCode } from '../../../manifests-schema/reasons.ts';
import type { Review, ReviewRequest } from '../../core/provider.ts';
import type { Provenance } from '../../core/trust.ts';
import type { CommitInfo } from '../../core/types.ts';
import { AgentError } from '../../errors.ts';
import type { Objects } from '../pack/objects.ts';
import { isoTime, type ParsedCommit, type ParsedTag, parseCommit, parseTag } from '../store/commit.ts';
import { type Base, type BringHistory, type Range, rangeOf, wayFrom } from './history.ts';
import { type Objection, objection } from './precedence.ts';
import type { Resolved } from './refs.ts';
import type { SignatureOptions, SignatureVerdict } from './signature.ts';
import type { CheckSignature } from './verdicts.ts';

export interface Policy {
  ref: string;
  /** Only descendants of this commit are applied. */
  since?: string | undefined;
  verify?: (Omit<SignatureOptions, 'exec'> & { mode: 'head' | 'strict' }) | undefined;
}

export interface ReviewInput {
  commit: string;
  /** The name that `repo.ref` had when the commit was found; null if that is no longer known. */
  resolved: Resolved | null;
  request: ReviewRequest;
  /** Url and ref. */
  source: string;
  policy: Policy;
  /** Every rule that the commit is judged by. */
  policyDigest: string;
  objects: Objects;
  /**
   * Brings `commit` and what lies between it and `base`; reading finds out how far that went.
   * @returns whether the server has the base
   */
  bring(base: string | null, also: readonly string[]): Promise<boolean>;
  bringHistory: BringHistory;
  exec: SignatureOptions['exec'];
  /** Checks under the rules of `policyDigest`. */
  check: CheckSignature;
  /** A commit already known to descend from the floor. */
  aboveFloor: string | null;
}

export interface Judged extends Review {
  /** This commit descends from the floor, if there is one. */
  aboveFloor: boolean;
}

export async function review(input: ReviewInput): Promise<Judged> {
  const { commit, request, policy, objects } = input;
  const resolved = input.resolved ?? asBefore(request.before, commit);
  const base = baseOf(request, commit);
  const range = await bringRange(input, base, resolved?.tag ? [resolved.tag] : []);
  const parsed = parseCommit(await objects.read(commit, 'commit'));
  const tag = await tagOf(objects, resolved);
  const provenance: Provenance = {
    source: input.source,
    commit,
    kind: resolved?.kind ?? null,
    name: resolved?.name ?? '',
    tag: resolved?.tag ?? null,
    taggedAt: tag?.tagger?.at ?? null,
    payload: parsed.payload(),
    policy: input.policyDigest,
    named: request.named,
    rewound: false,
  };
  const info = describe(policy.ref, commit, parsed, resolved);
  const called = `commit ${commit.slice(0, 7)} "${info.subject}" by ${info.author}`;
  const hold = (reason: ReasonCode, message: string, aboveFloor = true): Judged => ({
    info,
    provenance,
    hold: { reason, message },
    aboveFloor,
  });

  if (!(await standsOn(input, base, range.descends)))
    return hold(
      'BelowFloor',
      `${called} does not descend from ${policy.since?.slice(0, 7)}, which repo.since names; nothing of it was applied`,
      false,
    );
  if (!request.named && request.newest !== null) {
    const { newest } = request;
    const next = { ref: policy.ref, resolved: resolved ?? UNNAMED, commit, descends: range.descends };
    const against = objection(newest, { ...next, taggedAt: provenance.taggedAt });
    const isFinal = against?.reason === 'RefKindChanged' && policy.verify !== undefined;
    if (against !== null && (isFinal || !request.allowRewind))
      return hold(against.reason, said(called, against, isFinal));
    provenance.rewound = against !== null;
  }
  if (policy.verify === undefined) return { info, provenance, hold: null, aboveFloor: true };

  const options = { ...policy.verify, exec: input.exec };
  const check: Check = (signature, at) => input.check(signature, at, options);
  let signer: string;
  if (resolved?.kind === 'tag') {
    const verdict = await checkTag(tag, resolved, commit, check);
    if (!verdict.ok) return hold(verdict.reason, `tag ${resolved.name} ${verdict.why}; nothing of it was applied`);
    signer = verdict.signer;
  } else {
    const verdict = await check(parsed.signature, parsed.committer.at);
    if (!verdict.ok) return hold(verdict.reason, `${called} ${verdict.why}; nothing of it was applied`);
    signer = verdict.signer;
  }
  if (policy.verify.mode === 'strict') {
    const from = strictBase(input, base, range.descends);
    const way = from === null ? null : await wayFrom(objects, commit, from, input.bringHistory);
    const apart = way?.missing[0];
    if (apart !== undefined)
      return hold(
        'HistoryIncomplete',
        `${called} comes after ${apart.slice(0, 7)}, which the repository does not show: whether it is signed cannot be known; nothing was applied (repo.verify.mode is strict)`,
      );
    for (const { id, commit: one } of way?.commits ?? [{ id: commit, commit: parsed }]) {
      if (id === commit && resolved?.kind !== 'tag') continue;
      const verdict = await check(one.signature, one.committer.at);
      if (!verdict.ok)
        return hold(
          verdict.reason,
          `commit ${id.slice(0, 7)} "${one.subject}" by ${one.author.who}, on the way to ${commit.slice(0, 7)}, ${verdict.why}; nothing was applied (repo.verify.mode is strict)`,
        );
    }
  }
  return { info: { ...info, signer }, provenance, hold: null, aboveFloor: true };
}

/** A commit without a known name has to meet the rules of a branch only. */
const UNNAMED = { kind: 'branch', name: '', tag: null } as const;

/** The name under which this host accepted the commit. */
const asBefore = (before: Provenance | undefined, commit: string): Resolved | null =>
  before?.commit === commit && before.kind !== null
    ? { kind: before.kind, commit, name: before.name, tag: before.tag }
    : null;

/** The commit must descend from this one: the newest of this source, or the one that the host runs. */
function baseOf({ newest, accepted }: ReviewRequest, commit: string): Base | null {
  const base = newest ?? (accepted === null ? null : { commit: accepted, payload: null });
  return base?.commit === commit ? null : base;
}

/** Requests only missing objects, so that a reviewed commit can be judged again without the server. */
async function bringRange(input: ReviewInput, base: Base | null, tags: readonly string[]): Promise<Range> {
  const { commit, objects } = input;
  const all = [commit, ...tags];
  const look = (): Promise<Range> =>
    base === null ? Promise.resolve({ descends: true, commits: [], missing: [] }) : rangeOf(objects, commit, base);
  if ((await objects.lacking(all)).length === 0) {
    const range = await look();
    if (range.descends || range.missing.length === 0) return range;
  }
  const isKnown = await input.bring(base?.commit ?? null, tags);
  if (!(await objects.has(commit))) throw commitUnknown(commit);
  let range = await look();
  // The base may be a twin, which no honest server has: the original is an earlier commit.
  for (const depth of isKnown || !base?.payload ? [] : TWIN_DEPTHS) {
    if (range.descends || range.missing.length === 0 || !(await input.bringHistory([commit], [], depth))) break;
    range = await look();
  }
  return range;
}

/** A twin is served in place of a newest commit: few come after it before somebody looks why hosts hold. */
const TWIN_DEPTHS = [64, 1_024];

/** The commit after which every commit must be signed; null if the head vouches for all before it. */
function strictBase({ request, policy, policyDigest }: ReviewInput, base: Base | null, descends: boolean): Base | null {
  const floor = policy.since === undefined ? null : { commit: policy.since, payload: null };
  // If nothing was accepted yet, as on a first pull, the base is the floor; also if everything is judged again.
  if (base === null || (request.newest === null && !descends)) return floor;
  const isSame = request.newest === null || request.newest.policy === policyDigest;
  return isSame ? base : (floor ?? base);
}

async function standsOn(input: ReviewInput, base: Base | null, descends: boolean): Promise<boolean> {
  const { commit, objects } = input;
  const floor = input.policy.since;
  if (floor === undefined || floor === commit || input.aboveFloor === commit) return true;
  // An accepted commit descends from the floor if it was checked against this floor.
  if (descends && base !== null && (input.aboveFloor === base.commit || floor === base.commit)) return true;
  const range = async () => (await rangeOf(objects, commit, { commit: floor, payload: null })).descends;
  if (await range()) return true;
  await input.bring(floor, []);
  return range();
}

function said(called: string, { reason, why }: Objection, isFinal: boolean): string {
  const anew = 'run `fairlead sync --allow-rewind`';
  const inFull = 'write it in full in agent.yaml, as refs/heads/… or refs/tags/…';
  const way = reason !== 'RefKindChanged' ? anew : isFinal ? inFull : `${inFull}, or ${anew}`;
  return `${called} ${why}. Nothing of it was applied; if this is meant, ${way}`;
}

/** The repository answers, and has no such commit. */
export const commitUnknown = (commit: string) =>
  new AgentError({
    code: 'CommitUnknown',
    phase: 'fetch',
    message: `the repository has no commit ${commit}; \`git log\` in a clone of it lists those that it has`,
  });

async function tagOf(objects: Objects, resolved: Resolved | null): Promise<ParsedTag | null> {
  if (!resolved?.tag || !(await objects.has(resolved.tag))) return null;
  return parseTag(await objects.read(resolved.tag, 'tag'));
}

type Check = (signature: ParsedCommit['signature'], at: number) => Promise<SignatureVerdict>;

/** The tag itself must be signed, for this name and this commit: a lightweight tag is only the server's word. */
async function checkTag(
  tag: ParsedTag | null,
  resolved: Resolved,
  commit: string,
  check: Check,
): Promise<SignatureVerdict> {
  const no = (reason: ReasonCode, why: string): SignatureVerdict => ({ ok: false, reason, why });
  if (tag === null) return no('Unsigned', 'is lightweight and so cannot be signed; make it with `git tag -s`');
  if (tag.name !== resolved.name)
    return no('BadSignature', `is in truth tag ${tag.name}: the server serves it under another name`);
  if (tag.object !== commit) return no('BadSignature', 'does not name this commit directly, but another object');
  return check(tag.signature, tag.tagger?.at ?? 0);
}

export function describe(ref: string, commit: string, parsed: ParsedCommit, resolved: Resolved | null): CommitInfo {
  return {
    ref,
    commit,
    author: parsed.author.who,
    subject: parsed.subject,
    committedAt: isoTime(parsed.committer.at),
    committer: parsed.committer.who,
    signer: null,
    ...(resolved?.kind === 'tag' && resolved.commit === commit ? { tag: resolved.name } : {}),
  };
}
