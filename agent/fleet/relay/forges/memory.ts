/** The reports of commits to one forge: those that were sent, and the next ones. Plain data, kept over restarts. Pure. */
import type { Progress } from './progress.ts';
import { REPORT_STATES, type Report, type ReportState, reportOf, supersededBy } from './report.ts';

/** Times are milliseconds since 1970. */
export interface Told {
  ref: string;
  /** The last report that the forge accepted; null: none. */
  status: Report | null;
  at: number;
  /** Number of reports of this commit. */
  times: number;
  hasSucceeded: boolean;
  /** Its deployment at the forge, and the last state that was sent to it. */
  deployment: { id: number; state: ReportState | null } | null;
}

export interface Memory {
  schema: 1;
  /** By commit, in the order of their first reports. */
  commits: Record<string, Told>;
}

export const emptyMemory = (): Memory => ({ schema: 1, commits: {} });

/** Maximum number of remembered commits, and of commits that are reported at the same time: hosts follow few branches. */
const REMEMBERED = 50;
const AT_ONCE = 10;
/** A state must last this long before it is reported, in ms. */
const STEADY_MS = 10_000;
/** Pause before the progress is reported again, in ms; the following pauses grow. */
const FIRST_PAUSE_MS = 30_000;
const MOST_PAUSE_MS = 30 * 60_000;
/** GitHub accepts 1,000 statuses for a commit and a context. */
const MOST_TIMES = 300;

/** The next report of one commit, and since when it has been pending. */
export interface Wish {
  commit: string;
  ref: string;
  report: Report;
  since: number;
}

/** @param before the wishes of the previous call, which have the time since when each has been pending */
export function wishesOf(
  memory: Memory,
  progress: readonly Progress[],
  before: readonly Wish[],
  now: number,
): readonly Wish[] {
  const wishes = new Map<string, { ref: string; report: Report }>();
  for (const one of progress.slice(0, AT_ONCE)) {
    const { hasSucceeded = false, status = null } = memory.commits[one.commit] ?? {};
    const report = reportOf(one, { hasSucceeded });
    // After the end only a growing number of hosts is news.
    const isNews = report.state !== 'success' || status?.state !== 'success' || report.done > status.done;
    wishes.set(one.commit, { ref: one.ref, report: isNews ? report : status });
  }
  const newest = new Map(progress.map(({ ref, commit }) => [ref, commit]));
  for (const [commit, { ref, status }] of Object.entries(memory.commits)) {
    const by = newest.get(ref);
    if (status?.state === 'pending' && by !== undefined && !progress.some((one) => one.commit === commit))
      wishes.set(commit, { ref, report: supersededBy(by, status) });
    // Its last report must still be sent to its deployment.
    else if (status?.state === 'superseded' && !wishes.has(commit)) wishes.set(commit, { ref, report: status });
  }
  return [...wishes].map(([commit, wish]) => {
    const last = before.find((one) => one.commit === commit);
    const isSame = last !== undefined && last.report.state === wish.report.state;
    return { commit, ...wish, since: isSame ? Math.min(last.since, now) : now };
  });
}

/** @returns ms until the wish is due as a status; null if it was reported already */
export function statusDueMs({ commit, report, since }: Wish, memory: Memory, now: number): number | null {
  const told = memory.commits[commit];
  const last = told?.status ?? null;
  if (last !== null && last.state === report.state && last.text === report.text) return null;
  if (told === undefined || last === null) return since + STEADY_MS - now;
  if (told.times >= MOST_TIMES) return null;
  const pauseMs = Math.min(MOST_PAUSE_MS, FIRST_PAUSE_MS * 1.25 ** told.times);
  // People wait for the change from "in progress" to an end.
  const isEnd = last.state === 'pending' && report.state !== 'pending';
  return Math.max(since + STEADY_MS, isEnd ? 0 : Math.min(told.at, now) + pauseMs) - now;
}

/** The forge accepted it. */
export function noteStatus(memory: Memory, { commit, ref, report }: Wish, now: number): void {
  const told = memory.commits[commit] ?? {
    ref,
    status: null,
    at: now,
    times: 0,
    hasSucceeded: false,
    deployment: null,
  };
  const hasSucceeded = told.hasSucceeded || report.state === 'success';
  memory.commits[commit] = { ...told, ref, status: report, at: now, times: told.times + 1, hasSucceeded };
  for (const oldest of Object.keys(memory.commits)) {
    if (Object.keys(memory.commits).length <= REMEMBERED) break;
    if (oldest !== commit) delete memory.commits[oldest];
  }
}

export function noteDeployment(memory: Memory, commit: string, deployment: NonNullable<Told['deployment']>): void {
  const told = memory.commits[commit];
  if (told !== undefined) memory.commits[commit] = { ...told, deployment };
}

/** @returns null for text that no relay of this version wrote */
export function readMemory(value: unknown): Memory | null {
  const memory = value as Partial<Memory> | null | undefined;
  if (typeof memory !== 'object' || memory === null || memory.schema !== 1) return null;
  if (typeof memory.commits !== 'object' || memory.commits === null) return null;
  return Object.values(memory.commits).every(isTold) ? { schema: 1, commits: { ...memory.commits } } : null;
}

/** Parts of it are sent in requests again. */
function isTold(told: Partial<Told> | null): boolean {
  if (told === null || typeof told !== 'object') return false;
  const { ref, at, times, status, deployment } = told;
  const isReport = status === null || (isState(status?.state) && typeof status?.text === 'string');
  const isDeployment = deployment === null || Number.isSafeInteger(deployment?.id);
  return typeof ref === 'string' && typeof at === 'number' && typeof times === 'number' && isReport && isDeployment;
}

const isState = (state: unknown): boolean => REPORT_STATES.some((one) => one === state);
