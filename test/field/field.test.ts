/** Plays the cases of this directory on one lab host, one after another: `npm run test:lab -- field -t 'name'` for one of them. */
import { afterAll, beforeAll, expect, onTestFailed, test } from 'vitest';
import { installAgent } from '../lab/agent.ts';
import { type Lab, startLab } from '../lab/lab.ts';
import { THOROUGH } from '../sweep.ts';
import { loadCases } from './case.ts';
import { playCase } from './run-case.ts';

const cases = loadCases();
let lab: Lab;

beforeAll(async () => {
  lab = await startLab({ name: 'field', infra: 'shared', hosts: [{ name: 'edge-1' }] });
  await installAgent(lab.host('edge-1'), { repoUrl: '/srv/fleet' });
  await lab.host('edge-1').exec(['systemctl', 'stop', 'fairlead.service']);
});
afterAll(async () => lab?.stop());

test('there are cases', () => {
  expect(cases.length).toBeGreaterThan(0);
});

test.each(cases.filter(({ soak }) => THOROUGH || !soak).map((found) => [found.name, found] as const))(
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
