/** One reconcile, from trigger to record. Read it from top to bottom; every stage has its own file. */
import { setImmediate } from 'node:timers/promises';
import type { Review } from '../../core/provider.ts';
import type { CommitInfo, Problem, ResourceId, RunRecord } from '../../core/types.ts';
import { type AgentError, asAgentError } from '../../errors.ts';
import { withFields } from '../../log.ts';
import { isUnwritable, unwritable } from '../../store/disk/unwritable.ts';
import type { EngineDeps, Outcome, Run, RunRequest } from '../types.ts';
import { createRun } from './create-run.ts';
import { guardConnectivity } from './guards/connectivity.ts';
import {
  isAccepted,
  knownHead,
  letIn,
  openInterrupted,
  openRunning,
  type Reviewed,
  reviewHead,
} from './guards/door.ts';
import { NO_UPGRADE, upgradeFirst, withResult, withUpgrade } from './guards/upgrade.ts';
import { prefetch } from './prefetch.ts';
import { pursue } from './pursue.ts';
import { createLiveEvents } from './records/live-events.ts';
import { recordRun } from './records/record.ts';

export interface RunResult {
  run: RunRecord;
  outcome: Outcome;
  /**
   * Present if only a part of the host was observed. `recorded: false`: no run was recorded, and `run` is the previous one.
   * `news`: the result differs from the previous one.
   */
  part?: { hinted: ReadonlySet<ResourceId>; recorded: boolean; news: boolean };
}

/**
 * Fetches the commit that the ref names, converges the host to it, records the run and its events. Failures are part of the
 * result; it throws only for bugs and for a store that cannot be written.
 * @param previous the previous run in this process
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
  const origin = request.command ? { command: request.command } : {};
  const begun = { id, trigger, startedAt: startedAt.toISOString(), durationMs, ...origin };
  return { outcome, run: recordRun(deps, begun, outcome, null, live) };
}

/** The outcome of fetching the commit and converging to it. */
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

/** Starts CPU-bound work only after the network request has been sent. */
async function onceSent<T>(question: Promise<unknown>, act: () => Promise<T>): Promise<T> {
  question.catch(() => undefined);
  await setImmediate();
  return act();
}

interface Target {
  checkout: Reviewed | null;
  /** Why the repository could not be read. `checkout` is then the trial or the accepted commit, if there is any. */
  trouble: AgentError | null;
  /** Why the head must not be applied. `checkout` is the last accepted commit, if there is one. */
  review: Review | null;
  /** Why the head cannot be read as a checkout. `checkout` is as with `review`. */
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
    if (review.hold !== null) return { ...clear, checkout: await openRunning(run, accepted), review };
    // The commit is most likely tried at once. A commit that waits for its window is not probed for again.
    if (isNew) run.scratch.guard = guardConnectivity(run);
    const checkout = await letIn(run, review);
    // The stored copy cannot be read any more, so it is written again.
    if (isAccepted(run, head)) await run.snapshots.save(checkout);
    return { ...clear, checkout };
  } catch (thrown) {
    const trouble = isUnwritable(thrown)
      ? unwritable(run.stateDir, thrown)
      : asAgentError(thrown, { code: 'RepositoryUnreachable', phase: 'fetch' });
    // A commit that cannot be read is refused like an invalid one; that is no outage.
    if (trouble.phase === 'load' && review !== null)
      return { ...clear, checkout: await openRunning(run, accepted), refused: { info: review.info, error: trouble } };
    return { ...clear, checkout: await openInterrupted(run), trouble };
  }
}

const repositoryProblem = (trouble: AgentError): Problem => ({
  id: 'repository',
  reason: trouble.code,
  message: trouble.message,
  file: null,
  line: null,
});

/** The desired state is unknown: changes nothing, reports why. */
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

/** Repairs go on; the new commit is reported as held. */
const withHold = (outcome: Outcome, { info, hold }: Review): Outcome => ({
  ...outcome,
  commit: info,
  hostStates: [...outcome.hostStates.filter((w) => w !== 'failed' || outcome.problems.length > 0), 'held'],
  gate: { kind: 'review', reason: hold?.message ?? '', until: null },
  reason: hold?.reason ?? '',
  message: hold?.message ?? '',
});

/** The host keeps what it runs; the commit that cannot be read is reported with its error. */
const withRefusal = (outcome: Outcome, { info, error }: NonNullable<Target['refused']>): Outcome => ({
  ...outcome,
  commit: info,
  problems: [{ ...repositoryProblem(error), file: error.resource ?? null }, ...outcome.problems],
  hostStates: [...outcome.hostStates, 'failed'],
  reason: error.code,
  message: `commit ${info.commit.slice(0, 7)} cannot be used: ${error.message}`,
});

/** The results are not on disk yet, so the run does not count as good. */
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
