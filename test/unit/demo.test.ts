/** The fleet of the demo: every host is valid before and after the rollout that the demo shows. */
import { expect, test } from 'vitest';
import { KINDS } from '../../agent/kinds/index.ts';
import { openFleet } from '../../agent/repo/fleet.ts';
import { validateFleet } from '../../agent/repo/validate.ts';
import { exampleFiles, firstFiles, HOSTS, ROLLED_OUT, rolloutFiles } from '../demo/fleet.ts';
import { treeOf } from './fleet-tree.ts';
import { providers } from './repo.ts';

const DAY_MS = 24 * 60 * 60_000;
const validate = async (files: Record<string, string>) =>
  validateFleet(await openFleet(treeOf(files)), { kinds: KINDS, providers: providers() });

test.each([
  ['at first', {}],
  ['after the rollout', rolloutFiles('172.30.0.2', Date.now())],
])('the hosts of the demo are valid %s', async (_when, changes) => {
  const { hosts, issues } = await validate({ ...exampleFiles(), ...firstFiles(), ...changes });
  expect(issues).toEqual([]);
  // light-1 is the host of the light demo.
  expect(hosts).toBe(HOSTS.length + 1);
});

test.each([0, 1, 2, 3, 4, 5, 6])('the window of edge-3 is closed, %s days from now as well', (days) => {
  const now = Date.now() + days * DAY_MS;
  const day = Number(/\* (\d)"/.exec(rolloutFiles('172.30.0.2', now)['hosts/edge-3/host.yaml'] ?? '')?.[1]);
  expect(day).toBe((new Date(now).getUTCDay() + 2) % 7);
});

test('the rollout brings each host to a different state', () => {
  const states = Object.values(ROLLED_OUT).map(({ sync }) => sync);
  expect(new Set(states).size).toBe(states.length);
});
