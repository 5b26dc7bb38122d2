/** Candidates for the placeholders of the command line on this machine, for completion; given up if they take too long. */
import type { HistoryDocument, IdsDocument } from '../../control/protocol.ts';
import { openFleet } from '../../repo/fleet.ts';
import { openPlain } from '../../repo/tree.ts';
import type { CliDeps, GlobalOptions } from '../context.ts';
import { shortId } from '../text/words.ts';
import type { Candidate, Values } from './complete.ts';

/** A shell that waits longer at a key feels broken. */
const PATIENCE_MS = 1_000;
const RUNS = 50;

export const createValues =
  (deps: CliDeps, options: GlobalOptions): Values =>
  async (placeholder, { given, argumentOf }) => {
    const client = deps.client({ ...options, ...given });
    const history = async () => (await client.get<HistoryDocument>(`history?limit=${RUNS}`))?.runs ?? [];
    const fleet = () => openFleet(openPlain(given.dir ?? '.'));
    const sources: Record<string, () => Promise<Candidate[]>> = {
      id: async () => ((await client.get<IdsDocument>('ids'))?.matches ?? []).map(bare),
      run: async () =>
        (await history()).map((r) => ({
          value: String(r.id),
          text: `${r.trigger}, ${r.sync}: ${r.commit?.subject ?? ''}`,
        })),
      // Back one goes to what was well here; what was planned or done may be asked of any.
      commit: async () => commitsOf(await history(), { well: argumentOf === 'rollback' }),
      host: async () => (await fleet()).hosts.map(({ name }) => bare(name)),
      hosts: async () => (await fleet()).hosts.map(({ name }) => bare(name)),
      roles: async () => distinct((await fleet()).roles.map(bare)),
      file: async () => [{ value: ':file', text: '' }],
      dir: async () => [{ value: ':dir', text: '' }],
    };
    const late = new Promise<Candidate[]>((resolve) => setTimeout(resolve, PATIENCE_MS, []).unref());
    return Promise.race([sources[placeholder]?.() ?? [], late]);
  };

/** @param well only those that this host was once in sync with, and that were not rolled back since */
function commitsOf(runs: HistoryDocument['runs'], { well }: { well: boolean }): Candidate[] {
  const verdicts = new Map<string, string>();
  // Newest first. A failure may be an outage and says nothing.
  for (const { commit, sync } of runs)
    if (commit && VERDICTS.includes(sync) && !verdicts.has(commit.commit)) verdicts.set(commit.commit, sync);
  return distinct(
    runs.flatMap(({ commit }) =>
      commit && (!well || verdicts.get(commit.commit) === 'synced')
        ? [{ value: shortId(commit.commit), text: commit.subject }]
        : [],
    ),
  );
}

const VERDICTS = ['synced', 'rolled-back'];

const bare = (value: string): Candidate => ({ value, text: '' });
const distinct = (all: readonly Candidate[]): Candidate[] => [...new Map(all.map((c) => [c.value, c])).values()];
