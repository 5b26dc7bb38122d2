/** One reconcile, from trigger to record. Read it top to bottom; every stage has a file of its own. */
import type { Review, ReviewRequest } from '../core/provider.ts';
import type { Checkout, Problem, RunRecord } from '../core/types.ts';
import { type AgentError, asAgentError } from '../errors.ts';
import { converge, vouched } from './converge.ts';
import { record } from './record.ts';
import type { EngineDeps, Outcome, RunRequest } from './types.ts';

export interface RunResult {
  run: RunRecord;
  outcome: Outcome;
}

/**
 * Fetches the commit the ref names, converges the host to it, records the run and its events.
 * What goes wrong is part of the result; it throws only for bugs and for a store that cannot be written.
 */
export async function reconcile(deps: EngineDeps, given: RunRequest): Promise<RunResult> {
  const request: RunRequest = { ...given, emit: (line) => given.emit(deps.redact(line)) };
  const startedAt = deps.clock.now();
  const id = deps.store.runs.begin(request.trigger, startedAt.toISOString());

  request.emit({ type: 'phase', phase: 'fetch' });
  const accepted = deps.store.meta.get<string>('accepted');
  const { checkout, trouble, review } = await fetchTarget(deps, accepted, request);

  let outcome =
    checkout === null ? blind(trouble) : await converge(deps, checkout, checkout.info.commit === accepted, request);
  if (outcome.rejected) {
    // The host keeps what it runs, and what it runs is still repaired.
    const kept = accepted && accepted !== checkout?.info.commit ? await deps.snapshots.load(accepted) : null;
    if (kept !== null) outcome = under(outcome, await converge(deps, kept, true, request));
  }
  if (trouble !== null && checkout !== null) outcome = withTrouble(outcome, trouble);
  if (review !== null) outcome = withHold(outcome, review);
  outcome = deps.redact(outcome);

  const durationMs = deps.clock.now().getTime() - startedAt.getTime();
  return {
    outcome,
    run: record(deps, { id, trigger: request.trigger, startedAt: startedAt.toISOString(), durationMs }, outcome),
  };
}

interface Target {
  checkout: Checkout | null;
  /** The repository could not be read: why. `checkout` is then the last accepted commit, if there is one. */
  trouble: AgentError | null;
  /** The head may not be applied: why. `checkout` is as with `trouble`. */
  review: Review | null;
}

async function fetchTarget(deps: EngineDeps, accepted: string | undefined, request: RunRequest): Promise<Target> {
  const kept = async () => (accepted ? await deps.snapshots.load(accepted) : null);
  try {
    const head = await deps.source.head(request.signal);
    const known = head === accepted ? await kept() : null;
    if (known !== null) {
      vouched(deps);
      return { checkout: known, trouble: null, review: null };
    }
    const review = await deps.source.review(head, reviewRequest(deps, request.allowRewind), request.signal);
    if (review.hold !== null) return { checkout: await kept(), trouble: null, review };
    return { checkout: await deps.source.checkout(head, request.signal), trouble: null, review: null };
  } catch (thrown) {
    const trouble = asAgentError(thrown, { code: 'RepositoryUnreachable', phase: 'fetch', retry: true });
    deps.log.warn({ code: trouble.code }, trouble.message);
    return { checkout: await kept(), trouble, review: null };
  }
}

/** What the host has accepted so far, for judging a new head: a branch may move freely only where another was followed. */
export function reviewRequest({ store, source }: EngineDeps, allowRewind: boolean): ReviewRequest {
  const from = store.meta.get<string>('acceptedFrom');
  const sameSource = from === undefined || from === source.id;
  return { accepted: store.meta.get<string>('accepted') ?? null, sameSource, allowRewind };
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
  const said = { reason: trouble?.code ?? '', message: trouble?.message ?? '' };
  return {
    rejected: false,
    commit: null,
    mode: 'enforce',
    labels: null,
    actions: [],
    resources: [],
    problems,
    whole: ['failed'],
    ...said,
  };
}

/** The verdict on the rejected commit, with the state of the host under the accepted one. */
const under = (verdict: Outcome, kept: Outcome): Outcome => ({
  ...verdict,
  actions: kept.actions,
  resources: kept.resources,
  problems: [...verdict.problems, ...kept.problems],
});

/** What the host runs is still looked after; the new commit is named, and waits. */
const withHold = (outcome: Outcome, { info, hold }: Review): Outcome => ({
  ...outcome,
  commit: info,
  whole: [...outcome.whole.filter((w) => w !== 'failed' || outcome.problems.length > 0), 'held'],
  reason: hold?.reason ?? '',
  message: hold?.message ?? '',
});

const withTrouble = (outcome: Outcome, trouble: AgentError): Outcome => ({
  ...outcome,
  problems: [repositoryProblem(trouble), ...outcome.problems],
  reason: outcome.reason || trouble.code,
  message: outcome.message || trouble.message,
});
