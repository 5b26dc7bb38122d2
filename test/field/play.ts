/** Runs a share of the cases of this directory on a lab host of its own, one after another; each test file names its share. */
import { afterAll, beforeAll, expect, onTestFailed, test } from 'vitest';
import { installAgent } from '../lab/agent.ts';
import { type Lab, startLab } from '../lab/lab.ts';
import { THOROUGH } from '../sweep.ts';
import { loadCases } from './case.ts';
import { playCase } from './run-case.ts';

/** Test files beside this one: they run in parallel, each on a host of its own. */
const SHARES = 3;

/** Declares the tests of a share. @param share 1…SHARES */
export function playShare(share: number): void {
  const cases = loadCases()
    .filter(({ soak }) => THOROUGH || !soak)
    .filter((_, i) => i % SHARES === share - 1);
  let lab: Lab;

  beforeAll(async () => {
    lab = await startLab({ name: `field-${share}`, infra: 'shared', hosts: [{ name: 'edge-1' }] });
    await installAgent(lab.host('edge-1'), { repoUrl: '/srv/fleet' });
    await lab.host('edge-1').exec(['systemctl', 'stop', 'fairlead.service']);
  });
  afterAll(async () => lab?.stop());

  test('there are cases', () => {
    expect(cases.length).toBeGreaterThan(0);
  });

  test.each(cases.map((found) => [found.name, found] as const))(
    '%s',
    async (_name, found) => {
      const host = lab.host('edge-1');
      onTestFailed(async () =>
        console.error(`${found.story}\n${(await host.journal('fairlead.service')).split('\n').slice(-40).join('\n')}`),
      );
      await playCase(host, found);
    },
    600_000,
  );
}
