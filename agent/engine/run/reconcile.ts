/** One reconcile, from trigger to record. Read it top to bottom; every stage has a file of its own. */
import { setImmediate } from 'node:timers/promises';
import type { Review } from '../../core/provider.ts';
import type { CommitInfo, Problem, ResourceId, RunRecord } from '../../core/types.ts';
import { type AgentError, asAgentError } from '../../errors.ts';
import { withFields } from '../../log.ts';
import { isUnwritable, unwritable } from '../../store/unwritable.ts';
import type { EngineDeps, Outcome, Run, RunRequest } from '../types.ts';
import { guardConnectivity } from './connectivity.ts';
import { createRun } from './create-run.ts';
import { asItRuns, asItWasBegun, isAccepted, knownHead, letIn, type Reviewed, reviewHead } from './door.ts';
import { createLiveEvents } from './live-events.ts';
import { prefetch } from './prefetch.ts';
import { pursue } from './pursue.ts';
import { recordRun } from './record.ts';
import { NO_UPGRADE, upgradeFirst, withResult, withUpgrade } from './upgrade.ts';

export interface RunResult {
  run: RunRecord;
  outcome: Outcome;
  /** Only a part of the host was looked at. Where nothing was `recorded`, `run` is the one before; `news`: the answer is another one. */
  part?: { hinted: ReadonlySet<ResourceId>; recorded: boolean; news: boolean };
}

/**
 * Fetches the commit the ref names, converges the host to it, records the run and its events.
 * What goes wrong is part of the result; it throws only for bugs and for a store that cannot be written.
 * @param previous the run before it in this process
 */
export async function reconcile(
  deps: EngineDeps,
  request: RunRequest,
  previous: RunResult | null = null,
): Promise<RunResult> {
  const { trigger } = request;
  const startedAt = deps.clock.now();
  const began = deps.clock.monotonic();
  const id = deps.store.runs.begin(trigger, startedAt.toISOString());
  const live = createLiveEvents(deps, id);
  const emit: RunRequest['emit'] = (line) => {
    if (line.type === 'action') live.tell(line.action);
    request.emit(line);
  };
  const run = createRun({ ...deps, log: withFields(deps.log, { run: id }) }, { ...request, emit });
  const outcome = deps.redact(await outcomeOf(run, previous));
  const durationMs = deps.clock.monotonic() - began;
  const begun = { id, trigger, startedAt: startedAt.toISOString(), durationMs };
  return { outcome, run: recordRun(deps, begun, outcome, null, live) };
}

/** What fetching the commit and converging to it come to. */
async function outcomeOf(run: Run, previous: RunResult | null): Promise<Outcome> {
  run.io.emit({ type: 'phase', phase: 'fetch' });
  const target = fetchTarget(run);
  run.scratch.prefetched = await onceSent(target, () => prefetch(run, previous));
  const { checkout, trouble, review, refused } = await run.io.yielding(target);

  if (checkout !== null) run.io.emit({ type: 'commit', commit: checkout.info });
  const isHead = checkout !== null && trouble === null && review === null && refused === null;
  const upgrading = isHead ? await upgradeFirst(run, checkout) : NO_UPGRADE;
  run.scratch.upgrade = upgrading.gate;
  let outcome = checkout === null ? blind(trouble) : await pursue(run, checkout);
  if (trouble !== null && checkout !== null) outcome = withTrouble(outcome, trouble);
  if (review !== null) outcome = withHold(outcome, review);
  if (refused !== null) outcome = withRefusal(outcome, refused);
  outcome = withResult(run, withUpgrade(outcome, upgrading), trouble !== null);
  return withDisk(outcome, run.store.trouble());
}

/** What keeps the processor busy begins when the question to the server is on its way. */
async function onceSent<T>(question: Promise<unknown>, act: () => Promise<T>): Promise<T> {
  question.catch(() => undefined);
  await setImmediate();
  return act();
}

interface Target {
  checkout: Reviewed | null;
  /** The repository could not be read: why. `checkout` is then what was begun or accepted last, if there is any. */
  trouble: AgentError | null;
  /** The head may not be applied: why. `checkout` is the last accepted commit, if there is one. */
  review: Review | null;
  /** The head cannot be read as a checkout: why. `checkout` is as with `review`. */
  refused: { info: CommitInfo; error: AgentError } | null;
}

async function fetchTarget(run: Run): Promise<Target> {
  const { accepted } = run.store.commits.get();
  const clear: Target = { checkout: null, trouble: null, review: null, refused: null };
  let review: Review | null = null;
  try {
    const head = await run.source.head(run.io.signal);
    const known = await knownHead(run, head);
    if (known !== null) return { ...clear, checkout: known };
    const isNew = !run.source.vouchesFor(head);
    review = await reviewHead(run, head);
    if (review.hold !== null) return { ...clear, checkout: await asItRuns(run, accepted), review };
    // Most likely it is tried as soon as it is here; one that waits for its window asks no second time.
    if (isNew) run.scratch.guard = guardConnectivity(run);
    const checkout = await letIn(run, review);
    // What was kept of it cannot be read any more.
    if (isAccepted(run, head)) await run.snapshots.save(checkout);
    return { ...clear, checkout };
  } catch (thrown) {
    const trouble = isUnwritable(thrown)
      ? unwritable(run.stateDir, thrown)
      : asAgentError(thrown, { code: 'RepositoryUnreachable', phase: 'fetch' });
    // A commit that cannot be read is refused like one with errors; it is no outage.
    if (trouble.phase === 'load' && review !== null)
      return { ...clear, checkout: await asItRuns(run, accepted), refused: { info: review.info, error: trouble } };
    return { ...clear, checkout: await asItWasBegun(run), trouble };
  }
}

const repositoryProblem = (trouble: AgentError): Problem => ({
  id: 'repository',
  reason: trouble.code,
  message: trouble.message,
  file: null,
  line: null,
});

/** Nothing is known of what is wanted: touch nothing, say why. */
function blind(trouble: AgentError | null): Outcome {
  const problems = trouble ? [repositoryProblem(trouble)] : [];
  const said = { reason: trouble?.code ?? ('' as const), message: trouble?.message ?? '' };
  return {
    rejected: false,
    commit: null,
    mode: 'enforce',
    labels: null,
    gate: null,
    verdict: 'untouched',
    converged: null,
    actions: [],
    resources: [],
    problems,
    warnings: [],
    hostStates: ['failed'],
    ...said,
  };
}

/** What the host runs is still looked after; the new commit is named, and waits. */
const withHold = (outcome: Outcome, { info, hold }: Review): Outcome => ({
  ...outcome,
  commit: info,
  hostStates: [...outcome.hostStates.filter((w) => w !== 'failed' || outcome.problems.length > 0), 'held'],
  gate: { kind: 'review', reason: hold?.message ?? '', until: null },
  reason: hold?.reason ?? '',
  message: hold?.message ?? '',
});

/** The host keeps what it runs; the commit that cannot be read is named, with what is wrong in it. */
const withRefusal = (outcome: Outcome, { info, error }: NonNullable<Target['refused']>): Outcome => ({
  ...outcome,
  commit: info,
  problems: [{ ...repositoryProblem(error), file: error.resource ?? null }, ...outcome.problems],
  hostStates: [...outcome.hostStates, 'failed'],
  reason: error.code,
  message: `commit ${info.commit.slice(0, 7)} cannot be used: ${error.message}`,
});

/** What was done is not on disk yet: no run of such a host is a good one. */
const withDisk = (outcome: Outcome, trouble: string | null): Outcome =>
  trouble === null
    ? outcome
    : {
        ...outcome,
        hostStates: [...outcome.hostStates, 'failed'],
        reason: outcome.reason || 'StateUnwritable',
        message: outcome.message || trouble,
      };

const withTrouble = (outcome: Outcome, trouble: AgentError): Outcome => ({
  ...outcome,
  problems: [repositoryProblem(trouble), ...outcome.problems],
  reason: outcome.reason || trouble.code,
  message: outcome.message || trouble.message,
});
