/** The durable notes of a run about its passes, which it writes before it continues. */
import { requirements, withNeeded } from '../../../core/order/graph.ts';
import { type Culprit, nextTry, type PostponedCommit, tryAgain } from '../../../core/plan/target.ts';
import { isRecorded, type Provenance } from '../../../core/trust.ts';
import type { Checkout, CommitInfo, Desired, Problem, ResourceId, SeenCommit } from '../../../core/types.ts';
import { AgentError } from '../../../errors.ts';
import type { PendingRollback, Remembered } from '../../../store/commits.ts';
import { isUnwritable } from '../../../store/disk/unwritable.ts';
import { culpritOf } from '../../decide/outcomes.ts';
import type { CommitPass, Note, Situation } from '../../decide/passes.ts';
import { tidy } from '../../steps/tidy.ts';
import type { Outcome, Run } from '../../types.ts';
import { keptProvenance, newestOf, type Reviewed } from '../guards/door.ts';

/** A write failed because the disk of the state is full or read-only. */
export const isDiskTrouble = (thrown: unknown): thrown is AgentError =>
  thrown instanceof AgentError && isUnwritable(thrown);

/** @returns false if the note could not be written, so that the run must not continue from it */
export async function noteDown(
  run: Run,
  note: Note | null,
  situation: Situation,
  told: Outcome | null,
  head: Reviewed,
): Promise<boolean> {
  if (note === null) return true;
  try {
    if (note.type === 'rollback ended') endRollback(run, note, told);
    else if (note.type === 'roll back') recordRollback(run, note, told, forwardOnly((await run.load(head)).resources));
    else await acceptAs(run, note, situation, head);
    return true;
  } catch (thrown) {
    if (isDiskTrouble(thrown)) return false;
    throw thrown;
  }
}

/**
 * A commit that was not the cause is tried again at once, without the jobs that ran; or after a pause if the previous commit is
 * unwell, too.
 */
function endRollback(
  run: Run,
  { content, isRetried, failed }: Extract<Note, { type: 'rollback ended' }>,
  told: Outcome | null,
): void {
  const { commits } = run.store;
  if (!isRetried) {
    commits.set({ pendingRollback: null });
    return;
  }
  const { postponed, pendingRollback } = commits.get();
  const before = postponed?.content === content ? postponed : null;
  const known = before ?? commits.bad(content);
  const now = run.clock.now();
  const times = failed ? (before?.times ?? pendingRollback?.times ?? 0) + 1 : 0;
  const again = known && {
    content,
    commit: pendingRollback?.from ?? known.commit,
    culprit: known.culprit,
    times,
    nextAt: failed ? tryAgain(times, now) : now.toISOString(),
    // A failed job is tried again, and the inventory knows the jobs that were done.
    ran: failed ? [] : ranUnder(run, content),
    ...(failed ? { failed: run.redact(worstOf(told, known.culprit)) } : {}),
  };
  commits.forgive(content, { pendingRollback: null, postponed: again });
}

/** The first failure of the rollback that is not one of the commit's own failures; if there is none, the commit's. */
function worstOf(told: Outcome | null, culprit: Culprit): Problem {
  const { others = [], ...first } = culprit;
  const isOfCommit = (p: Problem) => [first, ...others].some((one) => p.id === one.id && p.message === one.message);
  return told?.problems.find((p) => !isOfCommit(p)) ?? first;
}

/**
 * Ends a trial if the host now goes to another commit: neither an outage of the repository continues it, nor do repairs follow
 * it. If the disk is full, it stays until a run can record that.
 */
export function leaveTrial({ store }: Run, { role, on, mode }: CommitPass): void {
  const { trial } = store.commits.get();
  if (trial === null || trial === on || role === 'try' || !mode.acts) return;
  try {
    store.commits.set({ trial: null });
  } catch (thrown) {
    if (!isDiskTrouble(thrown)) throw thrown;
  }
}

/** Resources that are never rolled back automatically, and all that they need. */
function forwardOnly(resources: readonly Desired[]): ResourceId[] {
  const kept = resources.filter((r) => r.rollback === 'off').map((r) => r.id);
  return kept.length === 0 ? [] : [...withNeeded(kept, requirements(resources))];
}

/** Records the commit as bad or postponed, and the rollback, in one transaction. */
function recordRollback(
  run: Run,
  { pendingRollback, isSilence }: Extract<Note, { type: 'roll back' }>,
  told: Outcome | null,
  keeps: readonly ResourceId[],
): void {
  const { commits } = run.store;
  const culprit = run.redact(culpritOf(told ?? { problems: [], reason: '', message: '' }));
  const postponed = isSilence ? postponedAfterSilence(run, pendingRollback, culprit) : null;
  const { postponed: before } = commits.get();
  // Keeps the count of rollbacks of a commit that was not the cause, although it is recorded as bad meanwhile.
  const times = before?.content === pendingRollback.content && before.failed ? before.times : 0;
  const bad = {
    content: pendingRollback.content,
    commit: pendingRollback.from,
    at: run.clock.now().toISOString(),
    culprit,
  };
  if (postponed === null)
    commits.markBad(bad, { trial: null, pendingRollback: { ...pendingRollback, times }, keeps, postponed: null });
  else commits.set({ trial: null, pendingRollback, keeps, postponed });
  const from = pendingRollback.from.slice(0, 7);
  const to = pendingRollback.to.slice(0, 7);
  run.log.error(
    { from, to, resource: culprit.id, reason: culprit.reason },
    `commit ${from} did not settle; rolling back to ${to}`,
  );
  run.io.emit({ type: 'phase', phase: 'rollback', detail: `${culprit.id}: ${culprit.message}` });
}

/** @returns the record with the time of the next try; null if it was tried often enough */
function postponedAfterSilence(run: Run, { content, from }: PendingRollback, culprit: Culprit): PostponedCommit | null {
  const before = run.store.commits.get().postponed;
  const times = (before?.content === content ? before.times : 0) + 1;
  const nextAt = nextTry(times, run.clock.now());
  if (nextAt === null) return null;
  return { content, commit: from, times, nextAt, ran: ranUnder(run, content), culprit };
}

/** Jobs that ran under a trial which only the connectivity guard failed: everything else was well, so each of them was done. */
function ranUnder({ store }: Run, content: string): ResourceId[] {
  const { postponed } = store.commits.get();
  const before = postponed?.content === content ? postponed.ran : [];
  return [...new Set([...before, ...(store.facts.get('trialJobs') ?? [])])];
}

async function acceptAs(
  run: Run,
  { commit, good }: Extract<Note, { type: 'accept' }>,
  { content }: Situation,
  head: Reviewed,
): Promise<void> {
  const checkout = commit === head.info.commit ? head : await run.snapshots.load(commit);
  if (checkout === null) return;
  const provenance = commit === head.info.commit ? head.provenance : keptProvenance(run, checkout);
  const { accepted, lastGood, lastGoodContent, previousGood } = run.store.commits.get();
  // Under other variables of this host the same commit has other content.
  const isNews = good && (lastGood !== commit || lastGoodContent !== content);
  const { postponed } = run.store.commits.get();
  const ended = good && postponed?.content === content ? { postponed: null } : {};
  const before = lastGoodContent === content || lastGood === commit ? previousGood : lastGood;
  await accept(
    run,
    { ...checkout, provenance },
    {
      ...(isNews
        ? { lastGood: commit, lastGoodContent: content, previousGood: before, goodSince: run.clock.now().toISOString() }
        : {}),
      ...ended,
    },
  );
  if (accepted !== commit || isNews) await noteWriters(run, checkout, { isBack: commit !== head.info.commit });
  if (!good) return;
  await run.snapshots.retain(run.store.commits.needed());
  await tidy(run);
}

/** Attributes new declarations to the newest commit that touched this host, as far as that is known. */
async function noteWriters(run: Run, checkout: Checkout, options: { isBack: boolean }): Promise<void> {
  const { info } = checkout;
  const { resources } = await run.load(checkout);
  const touching = (info.commits ?? []).filter(({ touched }) => touched !== false);
  const newest = touching[0];
  const writing = {
    commit: newest === undefined || newest.commit === info.commit ? bare(info) : { ...bare(info), ...unsigned(newest) },
    oneOf: Math.max(1, touching.length),
  };
  run.store.declared.note(resources, writing, options);
}

/** Without the list of commits. */
const bare = ({ commits: _, content: _content, ...info }: CommitInfo): CommitInfo => info;

/** Committer and signer are unknown. */
const unsigned = ({ commit, author, subject, committedAt }: SeenCommit) => ({
  ...{ commit, author, subject, committedAt },
  ...{ committer: author, signer: null },
});

/** From now on repairs follow this commit, with or without the server. @param also recorded in the same transaction */
async function accept(
  run: Run,
  checkout: Checkout & { provenance: Provenance },
  also: Partial<Remembered>,
): Promise<void> {
  const { commits, trust } = run.store;
  const { info, provenance } = checkout;
  const { commit } = info;
  const { accepted, acceptedUnder, trial } = commits.get();
  const { id } = run.source;
  const policy = run.source.policy();
  // A commit that is only kept while the repository cannot be read was not reviewed under a new url or policy.
  const isNewTrust = acceptedUnder !== policy && provenance.policy === policy;
  // Written before the database, which may be lost: even then no older commit may be accepted.
  if (isNewTrust || !isRecorded(trust.get(), provenance)) {
    // If the first record is of a commit that somebody named, the newest commit of the ref is recorded as well.
    const newest = provenance.named ? newestOf(run) : null;
    if (newest !== null && !isRecorded(trust.get(), newest)) trust.accept(newest);
    trust.accept(provenance);
  }
  if (accepted === commit && trial === null && !isNewTrust) {
    if (Object.keys(also).length > 0) commits.set(also);
    return;
  }
  // Under a new path the same commit has other files.
  if (trial !== commit && (accepted !== commit || isNewTrust)) await run.snapshots.save(checkout);
  const under = isNewTrust ? { acceptedFrom: id, acceptedUnder: policy } : {};
  commits.set({ accepted: commit, trial: null, ...also, ...under });
}
