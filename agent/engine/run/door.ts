/**
 * The one door: no commit is converged to that the review has not passed under the policy of now, whichever way it came.
 * The head, a pin, the last good commit and a trial after a restart all come through here, and so does what a command asks for.
 */
import type { Hold, Review, ReviewRequest } from '../../core/provider.ts';
import type { Asker } from '../../core/target.ts';
import { type Provenance, unrecorded } from '../../core/trust.ts';
import type { Checkout } from '../../core/types.ts';
import { AgentError } from '../../errors.ts';
import type { EngineDeps, Run } from '../types.ts';

declare const passed: unique symbol;

/** The files of a commit that passed the review. Only this module makes one; `converge` takes nothing else. */
export type Reviewed = Checkout & { readonly provenance: Provenance; readonly [passed]: true };

export type Passage = { checkout: Reviewed; hold: null } | { checkout: null; hold: Hold };

/** What the ref names now, if it is what was accepted last: then nothing about it is new. */
export async function knownHead(deps: EngineDeps, head: string): Promise<Reviewed | null> {
  if (!isAccepted(deps, head)) return null;
  const { newest } = requestOf(deps, head, {});
  const snapshot = newest?.commit === head ? await deps.snapshots.load(head) : null;
  return snapshot && opened(snapshot, snapshot.provenance ?? newest ?? bare(deps, head));
}

/** Under another path or trust than it was accepted under, the same commit is another matter. */
export const isAccepted = ({ store, source }: EngineDeps, commit: string): boolean => {
  const { accepted, acceptedUnder } = store.commits.get();
  return accepted === commit && acceptedUnder === source.policy();
};

/** Whether the commit that the ref names now may be applied. */
export async function reviewHead(run: Run, head: string): Promise<Review> {
  const allowRewind = run.asked.allowRewind || (await isRewoundTrial(run, head));
  const review = await run.source.review(head, requestOf(run, head, { allowRewind }), run.io.signal);
  const damage = run.store.trust.damage();
  if (damage === null || review.hold !== null || allowRewind || requestOf(run, head, {}).newest !== null) return review;
  const message = `what this host accepted before cannot be told: ${damage}; if commit ${head.slice(0, 7)} is not older, run \`fairlead sync --allow-rewind\``;
  return { ...review, hold: { reason: 'RecordUnreadable', message } };
}

/** The files of a head that nothing is held against. */
export async function letIn(run: Run, review: Review): Promise<Reviewed> {
  if (review.hold !== null) throw new Error('a commit that is held was to be let in');
  return opened(await run.source.checkout(review.info.commit, run.io.signal), review.provenance);
}

/**
 * Whether the host may be taken to a commit that somebody named. It may be older; it must be trusted like any other.
 * @param by who asks: the broker only for what this host accepted, a person for all that is signed and stands on the floor
 * Throws AgentError `CommitUnknown`, `RepositoryUnreachable` and others of the repository.
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

/** The same, with its files. What is kept of it on this host needs no server. */
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

/** Under another policy the host's directory may be another one; what was kept of the former is better than nothing. */
async function filesOf(run: Run, commit: string, kept: Checkout | null): Promise<Checkout> {
  try {
    return await run.source.checkout(commit, run.io.signal);
  } catch (thrown) {
    if (kept !== null && thrown instanceof AgentError && thrown.phase === 'fetch') return kept;
    throw thrown;
  }
}

/**
 * What this host runs already: it passed when it was accepted, and putting it right applies nothing new. Under a policy that
 * changed since, it is judged as the head; what is found then is held, and takes nothing away.
 */
export async function asItRuns(deps: EngineDeps, commit: string | null): Promise<Reviewed | null> {
  const snapshot = commit === null ? null : await deps.snapshots.load(commit);
  if (snapshot === null || snapshot.info.commit !== deps.store.commits.get().accepted) return null;
  return opened(snapshot, keptProvenance(deps, snapshot));
}

/** Of a commit that is not what the ref names now. */
export const keptProvenance = (deps: EngineDeps, { info, provenance }: Checkout): Provenance => ({
  ...(provenance ?? bare(deps, info.commit)),
  named: true,
});

/** What was begun goes on without the server; else what runs stays. */
export async function asItWasBegun(deps: EngineDeps): Promise<Reviewed | null> {
  const { trial, wayBack, accepted } = deps.store.commits.get();
  if (trial !== null) return heldTo(deps);
  const back = wayBack === null ? null : await keptUnderPolicy(deps, wayBack.to);
  return back ? opened(back, keptProvenance(deps, back)) : asItRuns(deps, accepted);
}

/** What the host is held to between full runs: a trial that was judged by the policy of now, else what runs. */
export async function heldTo(deps: EngineDeps): Promise<Reviewed | null> {
  const { trial, accepted } = deps.store.commits.get();
  const begun = trial === null ? null : await keptUnderPolicy(deps, trial);
  return begun ? opened(begun, begun.provenance) : asItRuns(deps, accepted);
}

async function keptUnderPolicy({ snapshots, source }: EngineDeps, commit: string) {
  const snapshot = await snapshots.load(commit);
  const provenance = snapshot?.provenance;
  return snapshot && provenance?.policy === source.policy() ? { ...snapshot, provenance } : null;
}

const opened = (checkout: Checkout, provenance: Provenance): Reviewed => ({ ...checkout, provenance }) as Reviewed;

/** What the host has accepted so far, for judging a commit. */
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

/** The newest accepted from this url and ref. Where there is no record yet, what the database knows is all there is. */
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

/** Of a commit that was accepted before there was a record. */
function bare({ store, source }: EngineDeps, commit: string): Provenance {
  const { acceptedFrom } = store.commits.get();
  return unrecorded(acceptedFrom ?? source.id, commit);
}

/** A person let this very trial begin: it goes on after an outage or a restart. */
async function isRewoundTrial({ store, snapshots }: EngineDeps, head: string): Promise<boolean> {
  if (store.commits.get().trial !== head) return false;
  return (await snapshots.load(head))?.provenance?.rewound === true;
}

const notAccepted = (commit: string): Hold => ({
  reason: 'NotAccepted',
  message: `commit ${commit.slice(0, 7)} is none that this host accepted before, and a command may only go back to one; on the host, \`fairlead rollback\` may name any`,
});

/** Why a commit that somebody named cannot be applied now: what is held against it, or that it cannot be had. */
export const refusalOf = (thrown: unknown): Hold => {
  if (thrown instanceof AgentError && thrown.phase === 'fetch') return { reason: thrown.code, message: thrown.message };
  throw thrown;
};
