/** The API of the daemon, for the sockets and the broker. Holds the state that outlives a run. */
import { setImmediate } from 'node:timers/promises';
import type { StatusDocument } from '../../manifests-schema/payloads.ts';
import { resourcePausesNow } from '../core/plan/resource-pause.ts';
import type { HistoryQuery, SyncLine, Waiting } from '../core/progress.ts';
import { eventDocumentOf } from '../core/reporting/event.ts';
import { findId } from '../core/reporting/find-id.ts';
import { type AgentState, type Identity, statusOf } from '../core/reporting/status.ts';
import type {
  Checkout,
  CommandOrigin,
  CommitInfo,
  Issue,
  Problem,
  ResourceStatus,
  RunRecord,
  Trigger,
} from '../core/types.ts';
import type { UpgradeOrder } from '../core/version/agent-upgrade.ts';
import { mayRead } from '../engine/run/guards/door.ts';
import { preview } from '../engine/run/preview.ts';
import type { RunResult } from '../engine/run/reconcile.ts';
import { type Breakdown, brokenRun } from '../engine/run/records/breakdown.ts';
import type { EngineDeps } from '../engine/types.ts';
import type { Loop, LoopRequest } from '../engine/when/loop.ts';
import { AgentError } from '../errors.ts';
import { lastRead } from '../store/disk/last-read.ts';
import type { RunReader } from '../store/history/run-reader.ts';
import { atWork, createDoing } from './doing.ts';
import { fullId, hold } from './holds.ts';
import { createLastStatus } from './last-status.ts';
import type { Kept } from './overwritten.ts';
import { createProblemTimes } from './problem-times.ts';
import type { ControlApi, HoldDocument, HoldRequest, HoldVerb, PlanDocument, PlanRequest } from './protocol.ts';
import { show } from './show.ts';

export interface AgentApiOptions {
  deps: EngineDeps;
  identity: Identity;
  facts: StatusDocument['facts'];
  /** Current problems that no run finds, e.g. with the broker. */
  problems(desired: CommitInfo | null): readonly Problem[];
  loop(): Loop;
  /** Reads again what a plan depends on besides the repository. */
  refresh(): Promise<void>;
  /** This host's part of a repository on this machine, and warnings about files that were not read. */
  localCheckout(dir: string, options: { worktree: boolean }): Promise<{ checkout: Checkout; notes: readonly Issue[] }>;
  kept: Kept;
}

export interface AgentApi extends Omit<ControlApi, 'metrics'> {
  /** All current problems; the status has only the first twenty. */
  problems(): readonly Problem[];
  /** @param command that asks, if it is no person on this host: then no more is shown or pinned than a command may */
  plan(request: PlanRequest, signal: AbortSignal, command?: CommandOrigin): Promise<PlanDocument>;
  hold(verb: HoldVerb, request: HoldRequest, command?: CommandOrigin): Promise<HoldDocument>;
  sync(request: LoopRequest, trigger: Trigger, line: (line: SyncLine) => void): Promise<void>;
  /** Takes in a finished run; answers the line that ends the feed of those who wait. */
  finished(result: RunResult): SyncLine;
  /** The same for a run that threw. */
  failed(breakdown: Breakdown, trigger: Trigger): SyncLine;
  /** Takes a progress line of a run. @returns whether the status has changed */
  progress(line: SyncLine): boolean;
}

/** Bad commits in a status. */
const MAX_BAD = 5;
/** Maximum number of missed events that a listener gets. */
const MAX_MISSED = 1_000;

export function createAgentApi(options: AgentApiOptions): AgentApi {
  const { deps, identity, facts, problems, loop, refresh, localCheckout, kept } = options;
  const { store, clock } = deps;
  const memory = createLastStatus(store);
  let state: AgentState = memory.recall(identity);
  const recorded = lastRead(() => ({
    commits: store.commits.get(),
    bad: store.commits.listBad(MAX_BAD),
    seq: store.outbox.lastSeq(),
  }));
  const doing = createDoing();
  const times = createProblemTimes(state.problems);

  const allProblems = () => times.dated([...problems(state.desired), ...state.problems], clock.now());
  const status = (): StatusDocument => {
    const all = allProblems();
    const first = all[0];
    const { commits, bad, seq } = recorded();
    const { pin, trial, goodSince } = commits;
    const now = doing.now();
    const order = deps.upgrade?.pending() ?? null;
    const left = [...(deps.background?.left() ?? []), ...(order === null ? [] : [trialOf(order)])].filter(
      ({ id }) => !now?.waiting.some((one) => one.id === id),
    );
    const known = {
      ...state,
      reason: state.reason || (first?.reason ?? ('' as const)),
      message: state.message || (first?.message ?? ''),
      problems: all,
    };
    const shown = {
      ...known,
      ...(now === null ? {} : atWork(known, now, trial)),
      pin: pin?.commit ?? null,
      // A commit that was bad before a later one proved itself is history.
      bad: bad
        .filter(({ at }) => goodSince === null || at > goodSince)
        .map(({ commit, culprit }) => ({ commit, reason: culprit.reason })),
      waiting: [...(now?.waiting ?? []), ...left],
      paused: pausesOf(),
    };
    return statusOf({
      identity,
      state: shown,
      facts,
      at: clock.now().toISOString(),
      seq,
      next: loop().next(),
    });
  };

  const pausesOf = () =>
    resourcePausesNow(recorded().commits.resourcePauses ?? [], clock.now(), deps.isAlive ?? (() => true)).map(
      ({ id, until, reason, at }) => ({ id, until, reason, at }),
    );
  const knownId = (like: string): string => {
    const paused = (store.commits.get().resourcePauses ?? []).map((p) => p.id);
    const { matches, near } = findId(like, [...new Set([...state.resources.map((r) => r.id), ...paused])]);
    const [id] = matches;
    if (id !== undefined && matches.length === 1) return id;
    const others = matches.length > 1 ? matches : near;
    const hint =
      others.length > 0 ? `; did you mean ${others.slice(0, 3).join(' or ')}?` : '; `fairlead resources` lists them';
    throw new AgentError({
      code: 'InvalidRequest',
      phase: 'plan',
      message: `no resource of this host is \`${like}\`${hint}`,
    });
  };

  const finished = ({ run, outcome }: RunResult): SyncLine => {
    doing.end();
    const { lastGood } = store.commits.get();
    state = {
      mode: outcome.mode,
      labels: outcome.labels ?? state.labels,
      desired: outcome.commit ?? state.desired,
      applied: store.facts.get('applied') ?? null,
      lastGood: lastGood ? { commit: lastGood } : null,
      gate: outcome.gate,
      pin: null,
      bad: [],
      run,
      // A run that could not see anything leaves what is known of the resources as it was.
      resources: isBlind(outcome) ? state.resources : sameOr(state.resources, outcome.resources),
      hostStates: outcome.hostStates,
      reason: outcome.reason,
      message: outcome.message,
      problems: outcome.problems,
      warnings: outcome.commit === null ? state.warnings : outcome.warnings,
      waiting: [],
      running: false,
    };
    memory.remember({ ...state, problems: times.dated(state.problems, clock.now()) });
    return { type: 'done', run, status: status() };
  };

  const failed = (breakdown: Breakdown, trigger: Trigger): SyncLine => {
    doing.end();
    const run = brokenRun(breakdown, trigger, clock.now());
    const problem: Problem = { id: 'state', ...breakdown, file: null, line: null };
    state = { ...state, ...breakdown, run, hostStates: ['failed'], problems: [problem], running: false };
    return { type: 'done', run, status: status() };
  };

  return {
    status,
    problems: allProblems,
    finished,
    failed,
    progress: doing.take,
    resources: () => ({ schema: 1, resources: state.resources }),
    async plan({ dir, commit, worktree = false, diff = false }, signal, command) {
      await refresh();
      if (command) await refuseUnreviewed(deps, commit && fullId(store, commit), signal);
      const local = dir === undefined || commit ? null : await localCheckout(dir, { worktree });
      const found = await preview(deps, signal, commit ? fullId(store, commit) : local?.checkout, { diff });
      return deps.redact({ schema: 1 as const, ...found, issues: [...(local?.notes ?? []), ...found.issues] });
    },
    show: async (id, signal) => deps.redact(await show({ deps, state, kept }, id, signal)),
    ids(like) {
      const now = state.resources.map((r) => r.id);
      if (like === null) return { schema: 1, matches: now.sort(), near: [] };
      return { schema: 1, ...findId(like, [...new Set([...now, ...store.runs.resources()])]) };
    },
    events(after, tell) {
      const missed = after === null ? [] : store.outbox.peek(MAX_MISSED, after);
      for (const event of missed) tell(eventDocumentOf(identity, event));
      return store.outbox.watch((event) => tell(eventDocumentOf(identity, event)));
    },
    history: async (query, signal) => ({ schema: 1, runs: await pageOf(store.runs, query, signal) }),
    run(id) {
      const found = store.runs.get(id);
      return found && { schema: 1, run: found.run, actions: found.actions };
    },
    async hold(verb, request, command) {
      const { commits } = store;
      const ids = request.ids?.map((like) => knownId(like));
      const heldBy = command ? ({ by: 'broker', command } as const) : ({ by: 'person' } as const);
      const { pause, pin } = await hold(deps, verb, { ...request, ...(ids ? { ids } : {}) }, heldBy);
      if (request.watched !== true) void loop().request(command ? { command } : {}, 'manual');
      return {
        schema: 1,
        pause,
        pin: pin && { commit: pin.commit, at: pin.at },
        commit: commits.get().accepted,
        resources: pausesOf(),
      };
    },
    sync(request, trigger: Trigger, line) {
      if (loop().running()) line({ type: 'phase', phase: 'queue' });
      return loop().request(request, trigger, line);
    },
    version: () => ({ version: identity.version }),
  };
}

/** @throws AgentError `NotReviewed`, and what the repository throws */
async function refuseUnreviewed(deps: EngineDeps, commit: string | undefined, signal: AbortSignal): Promise<void> {
  const hold = await mayRead(deps, commit, signal);
  if (hold === null) return;
  const said = hold.reason === 'NotReviewed' ? hold.message : `${hold.message} [${hold.reason}]`;
  throw new AgentError({ code: 'NotReviewed', phase: 'plan', message: said });
}

/** An agent on trial is waited for like anything that is not well yet. */
const trialOf = ({ version, since, until }: UpgradeOrder): Waiting => ({
  id: `agent:${version}` as Waiting['id'],
  since,
  until,
  message: `fairlead ${version} is on trial`,
});

/** The run learnt nothing about the host, except that it did nothing to it. */
const isBlind = ({ commit, rejected, resources }: RunResult['outcome']): boolean =>
  commit === null || (rejected && resources.length === 0);

/** Long questions are put in slices, and other things done between them. */
async function pageOf(runs: RunReader, query: HistoryQuery, signal: AbortSignal): Promise<RunRecord[]> {
  const limit = query.limit ?? 50;
  const found: RunRecord[] = [];
  for (let before = query.before ?? null; found.length < limit && !signal.aborted; ) {
    const slice = runs.slice({ ...query, limit: limit - found.length }, before);
    found.push(...slice.runs);
    if (slice.next === null) break;
    before = slice.next;
    await setImmediate();
  }
  return found;
}

/** The former list if the new one is equal: then it is neither stored nor published again. */
const sameOr = (former: readonly ResourceStatus[], now: readonly ResourceStatus[]): readonly ResourceStatus[] =>
  former.length === now.length &&
  now.every((r, i) => {
    const f = former[i];
    return f?.id === r.id && f.sync === r.sync && f.health === r.health && f.reason === r.reason;
  })
    ? former
    : now;
