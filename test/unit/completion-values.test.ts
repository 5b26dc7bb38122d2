/** What completion offers for a commit: for a rollback, only commits that were well on this host. */
import { expect, test } from 'vitest';
import type { CliDeps } from '../../agent/cli/context.ts';
import { createValues } from '../../agent/cli/shell/values.ts';

/** Newest first, as the daemon answers. */
const RUNS = [
  ['e', 'failed'],
  ['d', 'rolled-back'],
  ['d', 'synced'],
  ['c', 'held'],
  ['b', 'failed'],
  ['b', 'synced'],
  ['a', 'synced'],
].map(([letter = '', sync], id) => ({
  id,
  sync,
  trigger: 'poll',
  commit: { commit: letter.repeat(40), subject: letter },
}));

const client = { get: async () => ({ runs: RUNS }) };
const values = createValues({ client: () => client } as unknown as CliDeps, {});
const offered = async (argumentOf: string | null) =>
  (await values('commit', { given: {}, argumentOf })).map(({ text }) => text);

test('rollback offers commits that were well here and were not rolled back since, even if an outage followed', async () => {
  expect(await offered('rollback')).toEqual(['b', 'a']);
});

test('an option such as --commit offers every commit of the history', async () => {
  expect(await offered(null)).toEqual(['e', 'd', 'c', 'b', 'a']);
});
