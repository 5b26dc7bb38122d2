/** The commands that ask the daemon and print its answer; each returns its exit code (docs/commands.md, "Exit codes"). */

import path from 'node:path';
import type { StatusDocument } from '../../../manifests-schema/payloads.ts';
import type {
  HistoryDocument,
  HistoryQuery,
  PlanDocument,
  ResourcesDocument,
  RunDocument,
} from '../../control/protocol.ts';
import { AgentError } from '../../errors.ts';
import { type Context, EXIT } from '../context.ts';
import { planText } from '../text/plan-text.ts';
import { historyText, resourcesText, runText } from '../text/print.ts';
import { statusText } from '../text/status-text.ts';
import { exitOfStatus } from './exits.ts';
import { resolve } from './show.ts';

export async function status(c: Context): Promise<number> {
  const document = await need<StatusDocument>(c, 'status');
  c.print(document, () => statusText(document, c));
  return exitOfStatus(document);
}

export interface PlanOptions {
  dir?: string;
  worktree?: boolean;
  commit?: string;
  diff?: boolean;
}

export async function plan(c: Context, { dir, worktree, commit, diff }: PlanOptions): Promise<number> {
  const directory = dir ?? (worktree ? '.' : undefined);
  const query = new URLSearchParams({
    ...(directory ? { dir: path.resolve(directory) } : commit ? { commit } : {}),
    ...(directory && worktree ? { worktree: '1' } : {}),
    ...(diff ? { diff: '1' } : {}),
  });
  const document = await need<PlanDocument>(c, `plan?${query}`);
  c.print(document, () => planText(document, c));
  if (document.error || document.issues.some((i) => i.severity === 'error')) return EXIT.bad;
  return document.actions.length > 0 ? EXIT.pending : EXIT.ok;
}

export async function resources(c: Context): Promise<number> {
  const document = await need<ResourcesDocument>(c, 'resources');
  c.print(document, () => resourcesText(document, c));
  return EXIT.ok;
}

export async function history(c: Context, run: number | undefined, query: HistoryQuery): Promise<number> {
  if (run !== undefined) return oneRun(c, run);
  const { resource } = query;
  const id = resource === undefined ? undefined : await knownId(c, resource);
  if (id === null) return EXIT.unknown;
  const asked = id === undefined ? query : { ...query, resource: id };
  const document = await orDatabase(
    () => pages(c, asked),
    () => c.deps.readHistory(c.options, asked),
  );
  c.print(document, () => historyText(document, c));
  return EXIT.ok;
}

/** The daemon answers a thousand runs at a time. */
async function pages(c: Context, query: HistoryQuery): Promise<HistoryDocument> {
  const runs: HistoryDocument['runs'] = [];
  const limit = query.limit ?? 50;
  for (;;) {
    const oldest = runs.at(-1)?.id;
    const asked = { ...query, limit: limit - runs.length, ...(oldest === undefined ? {} : { before: oldest }) };
    const params = new URLSearchParams(
      Object.entries(asked).map(([k, v]): [string, string] => [k, v === true ? '1' : String(v)]),
    );
    const page = await need<HistoryDocument>(c, `history?${params}`);
    runs.push(...page.runs);
    if (page.runs.length === 0 || runs.length >= limit) return { ...page, runs };
  }
}

async function oneRun(c: Context, run: number): Promise<number> {
  const found = await orDatabase(
    () => c.client.get<RunDocument>(`history/${run}`),
    () => c.deps.readRun(c.options, run),
  );
  if (found === null) {
    c.complain(`no run ${run}; \`fairlead history\` lists them`);
    return EXIT.unknown;
  }
  c.print(found, () => runText(found, c));
  return EXIT.ok;
}

/** The full id for a part of one; without the daemon, the text itself. */
const knownId = (c: Context, text: string): Promise<string | null> =>
  orDatabase(
    () => resolve(c, text),
    () => text,
  );

async function need<T>(c: Context, address: string): Promise<T> {
  const document = await c.client.get<T>(address);
  if (document === null)
    throw new AgentError({
      code: 'Refused',
      phase: 'report',
      message: `the daemon does not know ${address}: it may be of another version; restart it with \`systemctl restart fairlead\``,
    });
  return document;
}

/** Reads the database if the daemon is down, which is when history matters most. */
async function orDatabase<T>(ask: () => Promise<T>, read: () => T): Promise<T> {
  try {
    return await ask();
  } catch (thrown) {
    if (thrown instanceof AgentError && thrown.code === 'DaemonUnreachable') return read();
    throw thrown;
  }
}
