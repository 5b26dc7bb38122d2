/** `requires` of fleet.yaml. */
import { describe, expect, test } from 'vitest';
import { issueProblem, rejected } from '../../agent/engine/decide/unapplied.ts';
import { openFleet } from '../../agent/repo/fleet.ts';
import { treeOf } from './fleet-tree.ts';
import { checkoutOf, loadCheckout, loadRepo } from './repo.ts';

const fleetOf = (requires: string) => ({
  'fleet.yaml': `newer: key\nrequires: "${requires}"\n`,
  'hosts/a/x.yaml': 'newer: {}\n',
});

describe('an agent that is too old', () => {
  test('reports that alone, and no errors about unknown keys', async () => {
    const { issues, resources } = await loadRepo(fleetOf('>=0.3'), { version: '0.2.9' });
    expect(issues).toEqual([
      {
        file: 'fleet.yaml',
        line: 2,
        column: 1,
        key: 'requires',
        severity: 'error',
        reason: 'AgentTooOld',
        message: 'this repository requires fairlead >=0.3, and this is 0.2.9; update fairlead on this host',
      },
    ]);
    expect(resources).toEqual([]);
  });

  test('rejects the commit with a reason of its own', async () => {
    const checkout = checkoutOf(fleetOf('>=1'));
    const loaded = await loadCheckout(checkout, { version: '0.2.9' });
    const outcome = rejected({ checkout, loaded, problems: loaded.issues.map(issueProblem), isNew: true });
    expect(outcome).toMatchObject({ rejected: true, reason: 'AgentTooOld', problems: [{ reason: 'AgentTooOld' }] });
  });

  test('reports it for the fleet as well', async () => {
    const { issues } = await openFleet(treeOf(fleetOf('>=1')), '0.2.9');
    expect(issues.map((i) => i.key)).toEqual(['requires']);
  });
});

test.each([
  ['0.2.0', '>=0.2', false],
  ['0.10.0', '>=0.9.1', false],
  ['0.2.0-rc1', '>= 0.2', false],
  ['1.0.0', '>=0.9', false],
  ['0.1.9', '>=0.2', true],
  ['0.2.0', '>=0.2.1', true],
  ['0.9.0', '>=1', true],
])('%s where %s is required is too old: %s', async (version, requires, expected) => {
  const { issues } = await loadRepo({ 'fleet.yaml': `requires: "${requires}"\n`, 'hosts/a/x.yaml': '' }, { version });
  expect(issues.some((i) => i.reason === 'AgentTooOld')).toBe(expected);
});

test('an invalid version is an error at its key', async () => {
  const { issues } = await loadRepo({ 'fleet.yaml': 'requires: newest\n' }, { version: '0.2.0' });
  expect(issues.map((i) => i.message)).toEqual([expect.stringContaining('>=0.2')]);
});
