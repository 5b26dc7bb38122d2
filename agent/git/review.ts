/** Whether a commit may be applied: it follows what was accepted, stands on the floor, and is signed as asked. */
import type { ReasonCode } from '../../manifests-schema/reasons.ts';
import type { Review, ReviewRequest } from '../core/provider.ts';
import type { CommitInfo } from '../core/types.ts';
import { isoTime, type ParsedCommit, parseCommit, parseTag } from './commit.ts';
import { rangeOf } from './history.ts';
import type { Objects } from './objects.ts';
import type { Resolved } from './refs.ts';
import { checkSignature, type SignatureOptions, type SignatureVerdict } from './signature.ts';

export interface Policy {
  ref: string;
  /** Nothing is applied that does not descend from this commit. */
  since?: string | undefined;
  verify?: (Omit<SignatureOptions, 'exec'> & { mode: 'head' | 'strict' }) | undefined;
}

export interface ReviewInput {
  commit: string;
  /** What `repo.ref` named when the commit was found; null where that is not known any more. */
  resolved: Resolved | null;
  request: ReviewRequest;
  policy: Policy;
  objects: Objects;
  /** Brings `commit` and what lies between it and `base`; reading finds out how far that went. */
  bring(base: string | null, also: readonly string[]): Promise<void>;
  exec: SignatureOptions['exec'];
  /** A commit already known to descend from the floor. */
  aboveFloor: string | null;
}

export interface Reviewed extends Review {
  /** This commit descends from the floor, if there is one. */
  aboveFloor: boolean;
}

export async function review(input: ReviewInput): Promise<Reviewed> {
  const { commit, resolved, request, policy, objects } = input;
  const { accepted, allowRewind, sameSource } = request;
  const base = accepted === commit ? null : accepted;
  const tag = policy.verify && resolved?.tag ? [resolved.tag] : [];
  await input.bring(base, tag);
  const parsed = parseCommit(await objects.read(commit, 'commit'));
  const info = describe(policy.ref, commit, parsed, resolved);
  const called = `commit ${commit.slice(0, 7)} "${info.subject}" by ${info.author}`;
  const hold = (reason: ReasonCode, message: string, aboveFloor = false): Reviewed => ({
    info,
    hold: { reason, message },
    aboveFloor,
  });

  const range =
    base === null
      ? { descends: true, commits: [{ id: commit, commit: parsed }] }
      : await rangeOf(objects, commit, base);
  const aboveFloor = await standsOn(input, range.descends);
  if (!aboveFloor)
    return hold(
      'BelowFloor',
      `${called} does not descend from ${policy.since?.slice(0, 7)}, which repo.since names; nothing of it was applied`,
    );
  if (!range.descends && sameSource && !allowRewind && (resolved?.kind ?? 'branch') === 'branch')
    return hold(
      'HistoryRewritten',
      `${called} does not descend from ${base?.slice(0, 7)}, which this host has: ${policy.ref} was rewound or rewritten. Nothing of it was applied; if this is meant, run \`fairlead sync --allow-rewind\``,
      true,
    );
  if (policy.verify === undefined) return { info, hold: null, aboveFloor };

  const options = { ...policy.verify, exec: input.exec };
  let signer: string;
  if (resolved?.kind === 'tag') {
    const verdict = await checkTag(objects, resolved, commit, options);
    if (!verdict.ok)
      return hold(verdict.reason, `tag ${resolved.name} ${verdict.why}; nothing of it was applied`, true);
    signer = verdict.signer;
  } else {
    const verdict = await checkSignature(parsed.signature, parsed.committer.at, options);
    if (!verdict.ok) return hold(verdict.reason, `${called} ${verdict.why}; nothing of it was applied`, true);
    signer = verdict.signer;
  }
  if (policy.verify.mode === 'strict') {
    // Without a base to start from, as on the first pull, it is the floor; without a floor, the head vouches for the rest.
    const from = base !== null && range.descends ? base : (policy.since ?? null);
    const { commits } =
      from === null ? { commits: [{ id: commit, commit: parsed }] } : await rangeOf(objects, commit, from);
    for (const { id, commit: one } of commits) {
      if (id === commit && resolved?.kind !== 'tag') continue;
      const verdict = await checkSignature(one.signature, one.committer.at, options);
      if (!verdict.ok)
        return hold(
          verdict.reason,
          `commit ${id.slice(0, 7)} "${one.subject}" by ${one.author.who}, on the way to ${commit.slice(0, 7)}, ${verdict.why}; nothing was applied (repo.verify.mode is strict)`,
          true,
        );
    }
  }
  return { info: { ...info, signer }, hold: null, aboveFloor };
}

async function standsOn(input: ReviewInput, descends: boolean): Promise<boolean> {
  const { commit, objects, request } = input;
  const floor = input.policy.since;
  if (floor === undefined || floor === commit || input.aboveFloor === commit) return true;
  // What was accepted stands on the floor if it was checked against this very floor.
  if (descends && request.accepted !== null && (input.aboveFloor === request.accepted || floor === request.accepted))
    return true;
  await input.bring(floor, []);
  return (await rangeOf(objects, commit, floor)).descends;
}

/** The tag itself must be signed, for this name and this commit: a lightweight tag is only the server's word. */
async function checkTag(
  objects: Objects,
  resolved: Resolved,
  commit: string,
  options: SignatureOptions,
): Promise<SignatureVerdict> {
  const no = (reason: ReasonCode, why: string): SignatureVerdict => ({ ok: false, reason, why });
  if (resolved.tag === null) return no('Unsigned', 'is lightweight and so cannot be signed; make it with `git tag -s`');
  const tag = parseTag(await objects.read(resolved.tag, 'tag'));
  if (tag.name !== resolved.name)
    return no('BadSignature', `is in truth tag ${tag.name}: the server serves it under another name`);
  if (tag.object !== commit) return no('BadSignature', 'does not name this commit directly, but another object');
  return checkSignature(tag.signature, tag.tagger?.at ?? 0, options);
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
