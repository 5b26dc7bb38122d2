/** Sends reports to one forge: one request after another, within its limits and ours, repeated until the forge accepts them. */
import type { StatusSettings } from '../../../../manifests-schema/relay.ts';
import type { Log } from '../../../log.ts';
import type { Clock } from '../../../system/clock.ts';
import type { Answer, Caller } from './call.ts';
import { type Memory, noteDeployment, noteStatus, statusDueMs, type Wish, wishesOf } from './memory.ts';
import type { Progress } from './progress.ts';
import { type Call, type ForgeRules, idOf, type Subject } from './rules.ts';

export interface SenderOptions {
  /** Contains no secret. */
  name: string;
  fleet: string;
  settings: StatusSettings;
  rules: ForgeRules;
  call: Caller;
  memory: Memory;
  /** Resolves when the next relay would find the record. Never rejects. */
  save(): Promise<void>;
  /** Takes the current progress of the fleet. */
  progress(): readonly Progress[];
  clock: Clock;
  log: Log;
  random(): number;
}

export interface Sender {
  /** Runs until `signal` aborts; `cut` also aborts the request in progress. */
  run(signal: AbortSignal, cut: AbortSignal): Promise<void>;
  /** Called if the result of `progress` has changed. */
  changed(): void;
}

/** A forge gets at most this many requests at once, and one more in this time. */
const BURST = 10;
const EVERY_MS = 3_000;
const FIRST_WAIT_MS = 10_000;
const LONGEST_OUTAGE_MS = 5 * 60_000;
/** Pause if somebody has to change something first. */
const LONGEST_REFUSED_MS = 60 * 60_000;
/** Number of tries of a report that the forge refuses. */
const UNFIT_TRIES = 8;
const LOOK_AGAIN_MS = 60_000;

interface Step {
  wish: Wish;
  what: 'status' | 'find' | 'make' | 'tell';
  dueMs: number;
}

export function createSender(options: SenderOptions): Sender {
  const { name, memory, clock, log, rules, settings } = options;
  const deployments = settings.environment === undefined ? null : rules.deployments;
  let wake = new AbortController();
  let wishes: readonly Wish[] = [];
  /** Monotonic time before which no request may be sent to this forge. */
  let closedUntil = 0;
  let failures = 0;
  let budget = { left: BURST, at: clock.monotonic() };
  const trouble = new Map<string, { tries: number; retryAt: number }>();
  /** Commits without a deployment at the forge. */
  const sought = new Set<string>();

  const subjectOf = ({ commit, ref }: Wish): Subject => ({
    ...{ repository: settings.repository, commit, fleet: options.fleet, link: settings.link },
    ref: /[*?[]|^HEAD$|^[0-9a-f]{40}$/.test(ref) ? '' : ref.replace(/^refs\/(heads|tags)\//, ''),
    environment: settings.environment ?? '',
  });

  function stepOf(wish: Wish, now: number): Step | null {
    const told = memory.commits[wish.commit];
    const dueMs = statusDueMs(wish, memory, now);
    if (deployments !== null && told?.status) {
      const { deployment } = told;
      if (deployment === null && told.status.state !== 'superseded')
        return { wish, what: sought.has(wish.commit) ? 'make' : 'find', dueMs: 0 };
      if (deployment !== null && deployment.state !== told.status.state) return { wish, what: 'tell', dueMs: 0 };
    }
    return dueMs === null ? null : { wish, what: 'status', dueMs };
  }

  /** The request that is due first. */
  function nextStep(): Step | null {
    const now = clock.now().getTime();
    wishes = wishesOf(memory, options.progress(), wishes, now);
    let next: Step | null = null;
    for (const wish of wishes) {
      const { tries = 0, retryAt = 0 } = trouble.get(wish.commit) ?? {};
      const step = tries >= UNFIT_TRIES ? null : stepOf(wish, now);
      if (step === null) continue;
      const dueMs = Math.max(step.dueMs, retryAt - clock.monotonic());
      if (next === null || dueMs < next.dueMs) next = { ...step, dueMs };
    }
    return next;
  }

  /** @returns ms until a request may be sent */
  function budgetMs(): number {
    const now = clock.monotonic();
    const earned = Math.floor((now - budget.at) / EVERY_MS);
    const left = Math.min(BURST, budget.left + earned);
    budget = { left, at: left === BURST ? now : budget.at + earned * EVERY_MS };
    return left > 0 ? 0 : budget.at + EVERY_MS - now;
  }

  const callOf = ({ wish, what }: Step): Call | null => {
    const subject = subjectOf(wish);
    const told = memory.commits[wish.commit];
    if (what === 'status') return rules.status(subject, wish.report, told?.status ?? null);
    const report = told?.status ?? wish.report;
    if (what === 'find') return deployments?.find(subject) ?? null;
    if (what === 'make') return deployments?.make(subject, report.state) ?? null;
    return told?.deployment ? (deployments?.tell(subject, told.deployment, report) ?? null) : null;
  };

  /** The forge accepted it, or does not support it. @param value its answer */
  function done({ wish, what }: Step, value: unknown): void {
    const { commit } = wish;
    const state = memory.commits[commit]?.status?.state ?? wish.report.state;
    if (what === 'status') noteStatus(memory, wish, clock.now().getTime());
    else if (what === 'find') {
      const id = deployments?.foundIn(value, subjectOf(wish)) ?? null;
      if (id === null) sought.add(commit);
      else noteDeployment(memory, commit, { id, state: null });
    } else if (what === 'make') {
      const id = idOf(value);
      if (id !== null) noteDeployment(memory, commit, { id, state: deployments?.stateWhenMade(state) ?? null });
    } else {
      const id = memory.commits[commit]?.deployment?.id;
      if (id !== undefined) noteDeployment(memory, commit, { id, state });
    }
  }

  async function act(step: Step, cut: AbortSignal): Promise<void> {
    const { wish, what } = step;
    const call = callOf(step);
    if (call === null) {
      done(step, null);
      return;
    }
    budget.left--;
    const answer = await options.call(call, cut);
    if (cut.aborted && answer.kind !== 'done') return;
    const isKnown =
      what === 'status' && answer.kind === 'unfit' && answer.status === 400 && rules.mayBeKnown?.(wish.report) === true;
    if (answer.kind === 'done' || isKnown) {
      if (failures > 0) log.info({ forge: name }, 'the forge answers again');
      failures = 0;
      trouble.delete(wish.commit);
      closedUntil = clock.monotonic() + answer.waitMs;
      const value = answer.kind === 'done' ? answer.value : null;
      if (what === 'make' && idOf(value) === null) return failed(step, { ...NO_ID, status: null });
      done(step, value);
      log.info(
        { forge: name, commit: wish.commit, what, state: wish.report.state },
        'a commit status was sent to the forge',
      );
      await options.save();
      return;
    }
    failed(step, answer);
  }

  function failed({ wish, what }: Step, { kind, why, waitMs }: Exclude<Answer, { kind: 'done' }>): void {
    const { commit } = wish;
    const isOfCommit = kind === 'unfit';
    const { tries = 0 } = trouble.get(commit) ?? {};
    const count = isOfCommit ? tries : failures;
    const mostMs = kind === 'again' ? LONGEST_OUTAGE_MS : LONGEST_REFUSED_MS;
    const backoffMs = Math.min(mostMs, FIRST_WAIT_MS * 2 ** Math.min(count, 16)) * (0.75 + options.random() / 2);
    const pauseMs = Math.max(backoffMs, waitMs);
    const retryAt = clock.monotonic() + pauseMs;
    if (isOfCommit) trouble.set(commit, { tries: tries + 1, retryAt });
    else {
      failures++;
      closedUntil = retryAt;
    }
    // If its deployment is not found, it must be searched for again.
    if (isOfCommit && what === 'tell') sought.delete(commit);
    const isLast = isOfCommit && tries + 1 >= UNFIT_TRIES;
    if (count > 0 && !isLast) return;
    const fix = kind === 'again' ? '' : `; check \`repository\`, \`url\` and what the token of \`statuses\` may do`;
    const next = isLast ? 'this commit is given up' : `tried again in ${Math.round(pauseMs / 1_000)} s`;
    log.warn(
      { forge: name, commit, what },
      `cannot send the status of commit ${commit.slice(0, 7)} to ${name}: ${why}${fix}; ${next}`,
    );
  }

  return {
    changed: () => wake.abort(),
    async run(signal, cut) {
      while (!signal.aborted) {
        wake = new AbortController();
        const step = nextStep();
        const waitMs =
          step === null ? LOOK_AGAIN_MS : Math.max(step.dueMs, closedUntil - clock.monotonic(), budgetMs());
        if (step !== null && waitMs <= 0) await act(step, cut);
        else await clock.sleep(Math.min(waitMs, LOOK_AGAIN_MS), AbortSignal.any([signal, wake.signal]));
      }
    },
  };
}

const NO_ID = { kind: 'unfit', why: 'its answer has no id of the deployment', waitMs: 0 } as const;
