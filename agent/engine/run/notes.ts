/** What a run remembers of its passes, durably, before anything follows from it. */
import { requirements, withNeeded } from '../../core/graph.ts';
import { type Culprit, nextTry, type Silenced, tryAgain } from '../../core/target.ts';
import { isRecorded, type Provenance } from '../../core/trust.ts';
import type { Checkout, CommitInfo, Desired, Problem, ResourceId, SeenCommit } from '../../core/types.ts';
import { AgentError } from '../../errors.ts';
import type { Remembered, WayBack } from '../../store/commits.ts';
import { isUnwritable } from '../../store/unwritable.ts';
import type { CommitPass, Note, Situation } from '../decide/passes.ts';
import { culpritOf } from '../decide/tell.ts';
import { tidy } from '../steps/tidy.ts';
import type { Outcome, Run } from '../types.ts';
import { keptProvenance, newestOf, type Reviewed } from './door.ts';

/** A write failed since the disk of the state is full or read-only. */
export const isDiskTrouble = (thrown: unknown): thrown is AgentError =>
  thrown instanceof AgentError && isUnwritable(thrown);

/** @returns false if it could not be written, so that nothing may follow from it yet */
export async function noteDown(
  run: Run,
  note: Note | null,
  situation: Situation,
  told: Outcome | null,
  head: Reviewed,
): Promise<boolean> {
  if (note === null) return true;
  try {
    if (note.type === 'way back ended') endWayBack(run, note, told);
    else if (note.type === 'take back') takeBack(run, note, told, forwardOnly((await run.load(head)).resources));
    else await acceptAs(run, note, situation, head);
    return true;
  } catch (thrown) {
    if (isDiskTrouble(thrown)) return false;
    throw thrown;
  }
}

/** One that proved innocent is tried again at once, without the jobs that ran; after a pause if what ran before is unwell, too. */
function endWayBack(
  run: Run,
  { content, innocent, failed }: Extract<Note, { type: 'way back ended' }>,
  told: Outcome | null,
): void {
  const { commits } = run.store;
  if (!innocent) {
    commits.set({ wayBack: null });
    return;
  }
  const { silenced, wayBack } = commits.get();
  const before = silenced?.content === content ? silenced : null;
  const known = before ?? commits.bad(content);
  const now = run.clock.now();
  const times = failed ? (before?.times ?? wayBack?.times ?? 0) + 1 : 0;
  const again = known && {
    content,
    commit: wayBack?.from ?? known.commit,
    culprit: known.culprit,
    times,
    nextAt: failed ? tryAgain(times, now) : now.toISOString(),
    // A job that failed has its next try, and one that was done is known to the inventory.
    ran: failed ? [] : ranUnder(run, content),
    ...(failed ? { failed: run.redact(worstOf(told, known.culprit)) } : {}),
  };
  commits.forgive(content, { wayBack: null, silenced: again });
}

/** What did not become well on the way back: what spoke against the commit comes first, where it is told of both. */
function worstOf(told: Outcome | null, culprit: Culprit): Problem {
  const { others = [], ...first } = culprit;
  const isOfCommit = (p: Problem) => [first, ...others].some((one) => p.id === one.id && p.message === one.message);
  return told?.problems.find((p) => !isOfCommit(p)) ?? first;
}

/**
 * Another commit was begun than the one that the host goes to now: it is not gone on with when the repository is away, and
 * repairs do not go by it. On a full disk it stays until a run can write that down.
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

/** What is never taken back by itself, and all that it needs. */
function forwardOnly(resources: readonly Desired[]): ResourceId[] {
  const kept = resources.filter((r) => r.rollback === 'off').map((r) => r.id);
  return kept.length === 0 ? [] : [...withNeeded(kept, requirements(resources))];
}

/** Recorded as bad, or as silenced, and on the way back, in one transaction. */
function takeBack(
  run: Run,
  { wayBack, isSilence }: Extract<Note, { type: 'take back' }>,
  told: Outcome | null,
  keeps: readonly ResourceId[],
): void {
  const { commits } = run.store;
  const culprit = run.redact(culpritOf(told ?? { problems: [], reason: '', message: '' }));
  const silenced = isSilence ? silencedBy(run, wayBack, culprit) : null;
  const { silenced: innocent } = commits.get();
  // How often it was taken back as an innocent one outlives its being called bad meanwhile.
  const times = innocent?.content === wayBack.content && innocent.failed ? innocent.times : 0;
  const bad = { content: wayBack.content, commit: wayBack.from, at: run.clock.now().toISOString(), culprit };
  if (silenced === null) commits.markBad(bad, { trial: null, wayBack: { ...wayBack, times }, keeps, silenced: null });
  else commits.set({ trial: null, wayBack, keeps, silenced });
  const from = wayBack.from.slice(0, 7);
  const to = wayBack.to.slice(0, 7);
  run.log.error(
    { from, to, resource: culprit.id, reason: culprit.reason },
    `commit ${from} did not settle; going back to ${to}`,
  );
  run.io.emit({ type: 'phase', phase: 'rollback', detail: `${culprit.id}: ${culprit.message}` });
}

/** @returns when it is tried again; null if it was tried often enough */
function silencedBy(run: Run, { content, from }: WayBack, culprit: Culprit): Silenced | null {
  const before = run.store.commits.get().silenced;
  const times = (before?.content === content ? before.times : 0) + 1;
  const nextAt = nextTry(times, run.clock.now());
  if (nextAt === null) return null;
  return { content, commit: from, times, nextAt, ran: ranUnder(run, content), culprit };
}

/** Jobs that ran under a trial that only the way home spoke against: then all else was well, and so each of them was done. */
function ranUnder({ store }: Run, content: string): ResourceId[] {
  const { silenced } = store.commits.get();
  const before = silenced?.content === content ? silenced.ran : [];
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
  // Under other variables of this host the same commit is other content.
  const isNews = good && (lastGood !== commit || lastGoodContent !== content);
  const { silenced } = run.store.commits.get();
  const ended = good && silenced?.content === content ? { silenced: null } : {};
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

/** Declarations that are new came with the newest of the commits that touched this host, as far as that can be told. */
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

/** Without the list of what came with it. */
const bare = ({ commits: _, content: _content, ...info }: CommitInfo): CommitInfo => info;

/** Who committed or signed it is not known. */
const unsigned = ({ commit, author, subject, committedAt }: SeenCommit) => ({
  ...{ commit, author, subject, committedAt },
  ...{ committer: author, signer: null },
});

/** From here on this commit is what repairs go by, with or without the server. @param also remembered in the same transaction */
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
  // What is only kept while the repository cannot be read says nothing about a url or a trust that is new.
  const isNewTrust = acceptedUnder !== policy && provenance.policy === policy;
  // Before the database: what it holds may be lost, and then nothing older may come.
  if (isNewTrust || !isRecorded(trust.get(), provenance)) {
    // The first record, and of a commit that somebody named: what the ref named before is kept as well.
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
