/**
 * The only way to a commit's files: no run converges to a commit unless its review passed under the current policy. The head, a
 * pin, the last good commit, a trial after a restart, and a commit that a command names all pass here.
 */

import type { Asker } from '../../../core/plan/target.ts';
import type { Hold, Review, ReviewRequest } from '../../../core/provider.ts';
import { type Provenance, unrecorded } from '../../../core/trust.ts';
import type { Checkout } from '../../../core/types.ts';
import { AgentError } from '../../../errors.ts';
import type { EngineDeps, Run } from '../../types.ts';
import { createRun, requestFor } from '../create-run.ts';

declare const passed: unique symbol;

/** The files of a commit that passed the review. Only this module creates one, and `converge` accepts nothing else. */
export type Reviewed = Checkout & { readonly provenance: Provenance; readonly [passed]: true };

export type Passage = { checkout: Reviewed; hold: null } | { checkout: null; hold: Hold };

/** The files of the commit that the ref names, if it is the accepted one: then it needs no review. */
export async function knownHead(deps: EngineDeps, head: string): Promise<Reviewed | null> {
  if (!isAccepted(deps, head)) return null;
  const { newest } = requestOf(deps, head, {});
  const snapshot = newest?.commit === head ? await deps.snapshots.load(head) : null;
  return snapshot && opened(snapshot, snapshot.provenance ?? newest ?? bare(deps, head));
}

/** False under another path or policy than at the acceptance: then the same commit is reviewed again. */
export const isAccepted = ({ store, source }: EngineDeps, commit: string): boolean => {
  const { accepted, acceptedUnder } = store.commits.get();
  return accepted === commit && acceptedUnder === source.policy();
};

/** Reviews the commit that the ref names now. */
export async function reviewHead(run: Run, head: string): Promise<Review> {
  const allowRewind = run.asked.allowRewind || (await isRewoundTrial(run, head));
  const review = await run.source.review(head, requestOf(run, head, { allowRewind }), run.io.signal);
  const damage = run.store.trust.damage();
  if (damage === null || review.hold !== null || allowRewind || requestOf(run, head, {}).newest !== null) return review;
  const message = `cannot read which commits this host accepted: ${damage}; if commit ${head.slice(0, 7)} is not older, run \`fairlead sync --allow-rewind\``;
  return { ...review, hold: { reason: 'RecordUnreadable', message } };
}

/** The files of a head that passed the review. */
export async function letIn(run: Run, review: Review): Promise<Reviewed> {
  if (review.hold !== null) throw new Error('a commit that is held was to be let in');
  return opened(await run.source.checkout(review.info.commit, run.io.signal), review.provenance);
}

/**
 * Whether the host may go to a commit that somebody named. It may be older, but must be trusted like any other. Throws AgentError
 * `CommitUnknown`, `RepositoryUnreachable` and others of the repository.
 * @param by who asks. The broker may name only commits that this host accepted before; a person may name every commit that is
 * signed as required and descends from `repo.since`
 */
export async function mayGoTo(
  deps: EngineDeps,
  commit: string,
  by: Asker,
  signal: AbortSignal,
): Promise<{ hold: Hold | null; provenance: Provenance }> {
  const before = lastAcceptance(deps, commit);
  if (by === 'broker' && before === undefined) return { hold: notAccepted(commit), provenance: bare(deps, commit) };
  const kept = (await deps.snapshots.load(commit))?.provenance;
  if (kept?.policy === deps.source.policy()) return { hold: null, provenance: kept };
  return deps.source.review(commit, requestOf(deps, commit, { named: true }), signal);
}

/**
 * Whether somebody other than a person on this host may see what a commit would do here: allowed are commits that this host
 * accepted, the current head, and commits that are signed as required. A template can write a secret in forms that nobody
 * masks, so no other commit is read. Throws AgentError like `mayGoTo`.
 */
export async function mayRead(deps: EngineDeps, commit: string | undefined, signal: AbortSignal): Promise<Hold | null> {
  if (commit !== undefined && lastAcceptance(deps, commit) !== undefined) return null;
  const head = commit === undefined || !deps.source.asksForSignatures ? await deps.source.head(signal) : null;
  if (commit === undefined || commit === head)
    return (await reviewHead(createRun(deps, requestFor(signal)), head ?? '')).hold;
  if (deps.source.asksForSignatures) return (await mayGoTo(deps, commit, 'person', signal)).hold;
  return {
    reason: 'NotReviewed',
    message: `commit ${commit.slice(0, 7)} is neither the current head nor one that this host accepted, and without repo.verify nothing proves whose it is`,
  };
}

/** The same, with the files. If they are stored on this host, no server is needed. */
export async function goTo(run: Run, commit: string, by: Asker): Promise<Passage> {
  const { hold, provenance } = await mayGoTo(run, commit, by, run.io.signal);
  if (hold !== null) return { checkout: null, hold };
  const snapshot = await run.snapshots.load(commit);
  const isNew = snapshot?.provenance?.policy !== run.source.policy();
  const files = snapshot && !isNew ? snapshot : await filesOf(run, commit, snapshot);
  const checkout = opened(files, { ...provenance, named: true });
  if (isNew) await run.snapshots.save(checkout);
  return { checkout, hold: null };
}

/**
 * Under another policy the host's directory may differ; if the server is unreachable, the stored files of the former directory
 * are used.
 */
async function filesOf(run: Run, commit: string, kept: Checkout | null): Promise<Checkout> {
  try {
    return await run.source.checkout(commit, run.io.signal);
  } catch (thrown) {
    if (kept !== null && thrown instanceof AgentError && thrown.phase === 'fetch') return kept;
    throw thrown;
  }
}

/**
 * The commit that this host runs: its review passed when it was accepted, and a repair applies nothing new. If the policy
 * changed since, it is reviewed as the head; a hold that results removes nothing.
 */
export async function openRunning(deps: EngineDeps, commit: string | null): Promise<Reviewed | null> {
  const snapshot = commit === null ? null : await deps.snapshots.load(commit);
  if (snapshot === null || snapshot.info.commit !== deps.store.commits.get().accepted) return null;
  return opened(snapshot, keptProvenance(deps, snapshot));
}

/** Provenance of a stored commit that the ref does not name now. */
export const keptProvenance = (deps: EngineDeps, { info, provenance }: Checkout): Provenance => ({
  ...(provenance ?? bare(deps, info.commit)),
  named: true,
});

/** Without the server a trial continues; otherwise the host keeps what it runs. */
export async function openInterrupted(deps: EngineDeps): Promise<Reviewed | null> {
  const { trial, pendingRollback, accepted } = deps.store.commits.get();
  if (trial !== null) return heldTo(deps);
  const back = pendingRollback === null ? null : await keptUnderPolicy(deps, pendingRollback.to);
  return back ? opened(back, keptProvenance(deps, back)) : openRunning(deps, accepted);
}

/**
 * The commit that the host is held to between full runs: a trial that was reviewed under the current policy, or else the
 * accepted commit.
 */
export async function heldTo(deps: EngineDeps): Promise<Reviewed | null> {
  const { trial, accepted } = deps.store.commits.get();
  const begun = trial === null ? null : await keptUnderPolicy(deps, trial);
  return begun ? opened(begun, begun.provenance) : openRunning(deps, accepted);
}

async function keptUnderPolicy({ snapshots, source }: EngineDeps, commit: string) {
  const snapshot = await snapshots.load(commit);
  const provenance = snapshot?.provenance;
  return snapshot && provenance?.policy === source.policy() ? { ...snapshot, provenance } : null;
}

const opened = (checkout: Checkout, provenance: Provenance): Reviewed => ({ ...checkout, provenance }) as Reviewed;

/** The input of a review: the commits that this host accepted so far. */
export function requestOf(
  { store, source }: EngineDeps,
  commit: string,
  { named = false, allowRewind = false }: { named?: boolean; allowRewind?: boolean },
): ReviewRequest {
  const newest = newestOf({ store, source });
  return {
    accepted: store.commits.get().accepted,
    newest,
    named,
    allowRewind,
    before: lastAcceptance({ store }, commit),
  };
}

/** The newest commit accepted from this url and ref. Without a trust record, the database's accepted commit is used. */
export function newestOf({ store, source }: Pick<EngineDeps, 'store' | 'source'>): Provenance | null {
  const { newest, accepted: recorded } = store.trust.get();
  const known = newest[source.id];
  if (known !== undefined || recorded.length > 0) return known ?? null;
  const { accepted, acceptedFrom } = store.commits.get();
  if (accepted === null || (acceptedFrom !== null && acceptedFrom !== source.id)) return null;
  const desired = store.facts.get('shown')?.desired;
  return unrecorded(source.id, accepted, desired?.commit === accepted ? desired.tag : undefined);
}

const lastAcceptance = ({ store }: Pick<EngineDeps, 'store'>, commit: string): Provenance | undefined =>
  store.trust.get().accepted.findLast((p) => p.commit === commit);

/** Provenance of a commit that was accepted before provenance was recorded. */
function bare({ store, source }: EngineDeps, commit: string): Provenance {
  const { acceptedFrom } = store.commits.get();
  return unrecorded(acceptedFrom ?? source.id, commit);
}

/** Whether an operator allowed this very trial to be older: it continues after an outage or a restart. */
async function isRewoundTrial({ store, snapshots }: EngineDeps, head: string): Promise<boolean> {
  if (store.commits.get().trial !== head) return false;
  return (await snapshots.load(head))?.provenance?.rewound === true;
}

const notAccepted = (commit: string): Hold => ({
  reason: 'NotAccepted',
  message: `commit ${commit.slice(0, 7)} was never accepted by this host, and a command over the broker can only return to an accepted commit; \`fairlead rollback\` on the host may name any`,
});

/** Why a commit that somebody named cannot be applied now: the review holds it, or it cannot be fetched. */
export const refusalOf = (thrown: unknown): Hold => {
  if (thrown instanceof AgentError && thrown.phase === 'fetch') return { reason: thrown.code, message: thrown.message };
  throw thrown;
};
