/** The newest runs and changes of a host as a retained document: bounded in bytes, oldest cut first. Pure. */
import type { RecentHistoryDocument } from '../../../manifests-schema/history.ts';
import type { ActionRecord, CommitInfo, RunRecord } from '../types.ts';

export type RecentHistory = RecentHistoryDocument;

/** Number of runs that are kept, and of actions in each. */
export const RECENT_RUNS = 50;
export const RECENT_ACTIONS = 50;
/** Limits the whole packet, topic included, to less than the 64 KiB that many clients accept. */
export const RECENT_BYTES = 60 * 1024;
/** Characters of one text; `fairlead history RUN` on the host prints all of it. */
const MAX_TEXT = 400;
const MAX_WHY = 10;

export interface RecentRunRecord {
  run: RunRecord;
  actions: readonly ActionRecord[];
  actionsTotal: number;
}

/** @param runs newest first; if they exceed the bounds, the oldest lose their actions first, and then are left out */
export function recentHistoryOf(
  { host, fleet }: { host: string; fleet: string },
  runs: readonly RecentRunRecord[],
  maxBytes: number = RECENT_BYTES,
): RecentHistory {
  const [newest] = runs;
  const at = newest ? new Date(Date.parse(newest.run.startedAt) + newest.run.durationMs).toISOString() : EPOCH;
  const document: RecentHistory = { schema: 1, host, fleet, at, runs: [] };
  let left = maxBytes - bytesOf(document);
  const fits = (part: unknown): boolean => {
    // One byte more, for the comma before it.
    const size = bytesOf(part) + 1;
    if (size > left) return false;
    left -= size;
    return true;
  };
  for (const { run, actionsTotal } of runs.slice(0, RECENT_RUNS)) {
    const shown = { ...headOf(run), actions: [], actionsTotal };
    if (!fits(shown)) break;
    document.runs.push(shown);
  }
  for (const [i, shown] of document.runs.entries())
    for (const action of runs[i]?.actions.slice(0, RECENT_ACTIONS) ?? []) {
      const brief = briefly(action);
      if (!fits(brief)) return document;
      shown.actions.push(brief);
    }
  return document;
}

const EPOCH = new Date(0).toISOString();

const bytesOf = (part: unknown): number => Buffer.byteLength(JSON.stringify(part));

const clip = (text: string): string => (text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT).toWellFormed()}…` : text);

function headOf(run: RunRecord): Omit<RecentHistory['runs'][number], 'actions' | 'actionsTotal'> {
  return { ...run, message: clip(run.message), commit: run.commit && commitOf(run.commit) };
}

/** Leaves out the list of commits, which may be long. */
function commitOf({ commits: _, ...commit }: CommitInfo): RecentHistory['runs'][number]['commit'] {
  return { ...commit, author: clip(commit.author), subject: clip(commit.subject) };
}

function briefly({ why, error, ...action }: ActionRecord): RecentHistory['runs'][number]['actions'][number] {
  return {
    ...action,
    why: why.slice(0, MAX_WHY).map(({ field, from, to }) => ({
      field: clip(field),
      ...(from === undefined ? {} : { from: clip(from) }),
      ...(to === undefined ? {} : { to: clip(to) }),
    })),
    ...(error === undefined ? {} : { error: { ...error, message: clip(error.message) } }),
  };
}
