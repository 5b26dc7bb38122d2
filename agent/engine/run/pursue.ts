/** From the commit that the ref names to the one that is converged to: gates, commits known to be bad, the way back. */
import { durationMs } from '../../config.ts';
import { type Choice, choose, pauseNow } from '../../core/target.ts';
import type { Checkout, Gate, Problem } from '../../core/types.ts';
import { AgentError } from '../../errors.ts';
import type { Remembered, WayBack } from '../../store/commits.ts';
import { isUnwritable } from '../../store/unwritable.ts';
import { tidy } from '../steps/tidy.ts';
import type { EngineDeps, Loaded, Outcome, RunRequest, Shut } from '../types.ts';
import { homeProblem, waitForHome, watchHome, watchHomeAgain, waysNamed } from './connectivity.ts';
import { converge } from './converge.ts';
import { pauseGate, windowGate } from './gates.ts';
import { unbegun } from './verdicts.ts';

interface Decision {
  loaded: Loaded;
  content: string;
  choice: Choice;
  /** Why nothing is touched, or why the head waits. */
  gate: Gate | null;
}

/** Looks at the host only where a window asks for it; touches nothing. */
export async function decide(deps: EngineDeps, head: Checkout, request: RunRequest): Promise<Decision> {
  const { commits } = deps.store;
  const { accepted, lastGood, pin, pause } = commits.get();
  const loaded = await deps.load(head);
  const content = loaded.content();
  const { commit } = head.info;
  const bad = commits.bad(content);
  const choice = choose({ head: { commit, content }, accepted, lastGood, bad, pin, force: request.force });
  const paused = pauseNow(pause, deps.clock.now());
  const gate =
    paused !== null ? pauseGate(paused) : choice.act === 'try' ? await windowGate(deps, loaded, head, request) : null;
  return { loaded, content, choice, gate };
}

export async function pursue(deps: EngineDeps, head: Checkout, given: RunRequest): Promise<Outcome> {
  const { loaded, content, choice, gate } = await decide(deps, head, given);
  const { wayBack } = deps.store.commits.get();
  const on = choice.act === 'stay' ? choice.on : choice.act === 'repair' ? head.info.commit : null;
  if (wayBack === null || wayBack.to !== on) return pursueHead(deps, head, { loaded, content, choice, gate }, given);
  const request = uninterrupted(given);
  const back = await pursueHead(deps, head, { loaded, content, choice, gate }, request);
  return orLater(judgeWayBack(deps, head, back, request), back);
}

async function pursueHead(
  deps: EngineDeps,
  head: Checkout,
  { loaded, content, choice, gate }: Decision,
  request: RunRequest,
): Promise<Outcome> {
  if (gate?.kind === 'pause') return converge(deps, head, 'look', request, gate);
  if (choice.act === 'stay') return stay(deps, head, choice, request);
  if (gate !== null) return hold(deps, head, gate, request);
  if (choice.act === 'repair')
    return conclude(deps, head, content, await converge(deps, head, 'repair', request), request);
  const tried = await attempt(deps, head, content, request);
  if (tried instanceof AgentError) return keep(deps, head, unbegun(head, loaded, tried), request);
  const { outcome, shut } = tried;
  if (outcome.gate?.kind === 'prune') return hold(deps, head, outcome.gate, request);
  if (outcome.rejected || outcome.whole.includes('unassigned')) return keep(deps, head, outcome, request);
  return conclude(deps, head, content, outcome, request, shut);
}

/** A way back goes on to its end, whatever waits: what comes next builds on it. Only a stop of the agent ends it early. */
const uninterrupted = (request: RunRequest): RunRequest => ({ ...request, superseded: () => false });

/**
 * Once a commit is taken back as a whole, it is seen whether that opened the ways home that it had shut. If it did not, the
 * commit was innocent.
 */
async function judgeWayBack(deps: EngineDeps, head: Checkout, back: Outcome, request: RunRequest): Promise<Outcome> {
  const { commits } = deps.store;
  const { wayBack } = commits.get();
  if (wayBack === null || (back.verdict !== 'well' && back.verdict !== 'unwell')) return back;
  // A way back that failed is not tried for ever: what it left is the next commit's.
  const still = back.verdict === 'unwell' ? [] : await waitForHome(deps, waysNamed(deps, wayBack.ways), null, request);
  if (still === null) return back;
  if (still.length > 0) commits.forgive(wayBack.content);
  commits.set({ wayBack: null });
  if (still.length === 0) return back;
  const problem = innocent(still);
  if (head.info.commit !== wayBack.from)
    return { ...back, problems: [problem, ...back.problems], reason: problem.reason, message: problem.message };
  return redo(deps, head, wayBack.content, back, problem, request);
}

/**
 * Applies a new commit; before it may count as well, the way home must be as open as it was.
 * @returns why it could not even be begun, where the state cannot be written
 */
async function attempt(
  deps: EngineDeps,
  head: Checkout,
  content: string,
  request: RunRequest,
): Promise<{ outcome: Outcome; shut: readonly Shut[] } | AgentError> {
  let shut: readonly Shut[] = [];
  const { host } = await deps.load(head);
  try {
    const { trial, trialWays, wayBack } = deps.store.commits.get();
    deps.store.commits.forgive(content);
    // The repository answered with another commit, so the way that led back is open.
    if (wayBack !== null) deps.store.commits.set({ wayBack: null });
    const isOn = trial === head.info.commit && trialWays !== null;
    const home = isOn ? watchHomeAgain(deps, trialWays, request) : (request.home ?? watchHome(deps, request));
    const outcome = await converge(deps, head, 'try', request, null, {
      ready: home.ready,
      applied: home.look,
      async prove(moved) {
        const found = await home.shut(moved, durationMs(host.settle?.timeout ?? '5m'));
        shut = found ?? [];
        return found === null ? 'unknown' : found.length === 0 ? null : homeProblem(found);
      },
    });
    return { outcome, shut };
  } catch (thrown) {
    if (thrown instanceof AgentError && isUnwritable(thrown)) return thrown;
    throw thrown;
  }
}

const innocent = (still: readonly Shut[]): Problem => ({
  ...homeProblem(still),
  message: `cannot be reached, which no commit of this host has to do with: ${still.map((s) => s.message).join('; ')}`,
});

/** The way stayed shut although the commit was taken back: it was innocent, and comes again. */
async function redo(
  deps: EngineDeps,
  head: Checkout,
  content: string,
  back: Outcome,
  problem: Problem,
  request: RunRequest,
): Promise<Outcome> {
  deps.log.warn(
    { commit: head.info.commit.slice(0, 7) },
    'taking the commit back did not open the way home: it is applied again',
  );
  const again = await conclude(deps, head, content, await converge(deps, head, 'try', request), request);
  return { ...again, actions: [...back.actions, ...again.actions], problems: [problem, ...again.problems] };
}

/** The head waits. What was accepted is kept in repair, then it is shown what the head would change. */
async function hold(deps: EngineDeps, head: Checkout, gate: Gate, request: RunRequest): Promise<Outcome> {
  const kept = await repairAccepted(deps, head, request);
  const looked = await converge(deps, head, 'look', request, gate);
  return {
    ...looked,
    actions: [...(kept?.actions ?? []), ...looked.actions],
    problems: [...looked.problems, ...(kept?.problems ?? [])],
  };
}

/** The head is refused as a whole. The host keeps what it runs, and what it runs is still repaired. */
async function keep(deps: EngineDeps, head: Checkout, verdict: Outcome, request: RunRequest): Promise<Outcome> {
  const kept = await repairAccepted(deps, head, request);
  if (kept === null) return verdict;
  return {
    ...verdict,
    actions: kept.actions,
    resources: kept.resources,
    problems: [...verdict.problems, ...kept.problems],
  };
}

async function repairAccepted(deps: EngineDeps, head: Checkout, request: RunRequest): Promise<Outcome | null> {
  const { accepted } = deps.store.commits.get();
  if (accepted === null || accepted === head.info.commit) return null;
  const checkout = await deps.snapshots.load(accepted);
  return checkout && converge(deps, checkout, 'repair', request);
}

/** On a pinned commit, or on the last good one while the head is known to be bad. */
async function stay(
  deps: EngineDeps,
  head: Checkout,
  choice: Extract<Choice, { act: 'stay' }>,
  request: RunRequest,
): Promise<Outcome> {
  const checkout = (await deps.snapshots.load(choice.on)) ?? (await deps.source.checkout(choice.on, request.signal));
  const kept = await converge(deps, checkout, 'back', request);
  if (kept.rejected || kept.verdict === 'untouched') return kept;
  if (kept.verdict === 'well') await orLater(accept(deps, checkout), undefined);
  return {
    ...kept,
    commit: head.info,
    gate: choice.gate ?? kept.gate,
    problems: [...(choice.problem ? [choice.problem] : []), ...kept.problems],
    whole: [...kept.whole, choice.sync],
    reason: choice.reason,
    message: choice.message,
  };
}

/** After an apply: the commit has proved itself, or waits out an outage, or is taken back; what cannot be written down is the next run's. */
const conclude = (
  deps: EngineDeps,
  head: Checkout,
  content: string,
  outcome: Outcome,
  request: RunRequest,
  shut: readonly Shut[] = [],
): Promise<Outcome> => orLater(verdictOn(deps, head, content, outcome, request, shut), outcome);

async function verdictOn(
  deps: EngineDeps,
  head: Checkout,
  content: string,
  outcome: Outcome,
  request: RunRequest,
  shut: readonly Shut[],
): Promise<Outcome> {
  const { commits } = deps.store;
  const { accepted, lastGood, lastGoodContent } = commits.get();
  const { commit } = head.info;
  if (outcome.verdict === 'well') {
    const previousGood = lastGoodContent === content ? commits.get().previousGood : lastGood;
    await accept(deps, head, lastGood === commit ? {} : { lastGood: commit, lastGoodContent: content, previousGood });
    await deps.snapshots.retain(commits.needed());
    await tidy(deps, request);
    return outcome;
  }
  if (accepted === commit) return outcome;
  // Whatever its resources look like meanwhile: it has not proved itself.
  if (outcome.verdict === 'open') return { ...outcome, whole: [...outcome.whole, 'progressing'] };
  if (outcome.verdict !== 'unwell') return outcome;
  const loaded = await deps.load(head);
  if (loaded.host.rollback === 'off' || lastGood === null || lastGoodContent === content) {
    // There is nothing to go back to: from here on it is repaired like any accepted commit.
    await accept(deps, head);
    return outcome;
  }
  const ways = shut.map((s) => s.way.name);
  const wayBack = { from: commit, content, to: lastGood, ways };
  return judgeWayBack(deps, head, await rollBack(deps, head, outcome, wayBack, uninterrupted(request)), request);
}

/** Recorded as bad first, durably; then the last good state, by the ordinary path. */
async function rollBack(
  deps: EngineDeps,
  head: Checkout,
  outcome: Outcome,
  wayBack: WayBack,
  request: RunRequest,
): Promise<Outcome> {
  const culprit: Problem = outcome.problems[0] ?? {
    id: '',
    reason: outcome.reason || 'ApplyFailed',
    message: outcome.message,
    file: null,
    line: null,
  };
  const { commits } = deps.store;
  const { from: commit, content, to: lastGood } = wayBack;
  const bad = { content, commit, at: deps.clock.now().toISOString(), culprit: deps.redact(culprit) };
  commits.markBad(bad, { trial: null, wayBack });
  const [from, to] = [commit.slice(0, 7), lastGood.slice(0, 7)];
  deps.log.error(
    { from, to, resource: culprit.id, reason: culprit.reason },
    `commit ${from} did not settle; going back to ${to}`,
  );
  request.emit({ type: 'phase', phase: 'rollback', detail: `${culprit.id}: ${culprit.message}` });
  const good = await deps.snapshots.load(lastGood);
  const back = good === null ? null : await converge(deps, good, 'back', request);
  const went = back !== null && !back.rejected && back.verdict === 'well';
  if (went && good) await accept(deps, good);
  const failed = back?.problems[0];
  const why = failed && `${failed.id}: ${failed.message}`;
  // Broken off, or an outage: the next run stays on the way back.
  const onTheWay = back !== null && !back.rejected && back.verdict === 'open';
  const came = went
    ? `; this host was taken back to ${to}`
    : onTheWay
      ? `; this host is on its way back to ${to}, which the next run goes on with${why ? ` (${why})` : ''}`
      : `, and going back to ${to} failed as well (${why ?? 'its snapshot cannot be read'}); nothing more is undone, mend it by a new commit`;
  return {
    ...(back ?? outcome),
    commit: head.info,
    actions: [...outcome.actions, ...(back?.actions ?? [])],
    problems: [culprit, ...(back?.problems ?? [])],
    whole: [...(back?.whole ?? []), went || onTheWay ? 'rolled-back' : 'failed'],
    reason: went || onTheWay ? culprit.reason : 'RollbackFailed',
    message: `commit ${from} did not settle (${culprit.id}: ${culprit.message})${came}`,
    rollback: { from: commit, to: lastGood, well: went },
  };
}

/** What must be durable before anything follows from it could not be written: then nothing follows from it yet. */
async function orLater<T>(work: Promise<T>, otherwise: T): Promise<T> {
  try {
    return await work;
  } catch (thrown) {
    if (thrown instanceof AgentError && isUnwritable(thrown)) return otherwise;
    throw thrown;
  }
}

/** From here on this commit is what repairs go by, with or without the server. @param also remembered in the same transaction */
async function accept(deps: EngineDeps, checkout: Checkout, also: Partial<Remembered> = {}): Promise<void> {
  const { commits } = deps.store;
  const { commit } = checkout.info;
  const { accepted, acceptedUnder, trial } = commits.get();
  const { id, policy } = deps.source;
  // What is only kept while the repository cannot be read says nothing about a url or a trust that is new.
  const news = acceptedUnder !== policy && deps.source.vouchesFor(commit);
  if (accepted === commit && trial === null && !news) {
    if (Object.keys(also).length > 0) commits.set(also);
    return;
  }
  // Under a new path the same commit has other files.
  if (trial !== commit && (accepted !== commit || news)) await deps.snapshots.save(checkout);
  commits.set({ accepted: commit, trial: null, ...also, ...(news ? { acceptedFrom: id, acceptedUnder: policy } : {}) });
}
